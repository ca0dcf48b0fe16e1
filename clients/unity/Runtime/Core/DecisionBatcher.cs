using System;
using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;

namespace Gamedojo
{
    /// <summary>What one agent does: the newest action that was answered for it.</summary>
    public sealed class AgentDecision
    {
        readonly object _lock = new object();
        PolicyAction _action;
        string _state;
        TimeSpan _answeredAt;
        long _newest;
        int _episode;

        internal Observation Asked { get; set; }

        /// <summary>Sent and not yet answered.</summary>
        internal bool UnderWay { get; set; }

        internal string State
        {
            get
            {
                lock (_lock)
                {
                    return _state;
                }
            }
        }

        internal int Episode
        {
            get
            {
                lock (_lock)
                {
                    return _episode;
                }
            }
        }

        /// <summary>A new episode: actions of the last one, those that are still under way too, count no more.</summary>
        public void Reset()
        {
            lock (_lock)
            {
                _episode++;
                _action = null;
                _state = null;
                Asked = null;
            }
        }

        internal void Forget()
        {
            lock (_lock)
            {
                _state = null;
            }
        }

        internal PolicyAction Newest(TimeSpan answeredSince)
        {
            lock (_lock)
            {
                return _answeredAt >= answeredSince ? _action : null;
            }
        }

        internal void Take(PolicyAction action, TimeSpan now, long request, int episode)
        {
            lock (_lock)
            {
                if (episode == _episode && request > _newest)
                {
                    _newest = request;
                    _action = action;
                    _state = action.State;
                    _answeredAt = now;
                }
            }
        }
    }

    /// <summary>
    /// Asks for all agents of a scene by one request. Agents ask one by one during a step and act on their newest answer;
    /// once a step, what was asked is sent. Agents ask and Flush is called in one thread; answers may come in another.
    /// </summary>
    public sealed class DecisionBatcher
    {
        readonly RemotePolicy _policy;
        readonly IClock _clock;
        readonly TimeSpan _staleAfter;
        readonly bool _remember;
        readonly List<AgentDecision> _asking = new List<AgentDecision>();
        long _requests;

        /// <param name="staleAfter">An action that was answered longer ago than this is no longer acted on.</param>
        /// <param name="remember">
        /// The policy has a memory: each agent's state goes along, and an agent is asked for again only when its last
        /// request has ended, so that its memory skips nothing.
        /// </param>
        public DecisionBatcher(RemotePolicy policy, IClock clock, TimeSpan staleAfter, bool remember = false)
        {
            _policy = policy;
            _clock = clock;
            _staleAfter = staleAfter;
            _remember = remember;
        }

        /// <summary>A request was not answered; its agents keep the action they have, until it is stale.</summary>
        public event Action<GamedojoException> Failed;

        /// <summary>A request was answered.</summary>
        public event Action<Prediction> Answered;

        /// <summary>Has this agent asked for with the next flush; asking again before that replaces the observation.</summary>
        /// <exception cref="InvalidInputException">A number is not finite; the other agents do not suffer for it.</exception>
        public void Ask(AgentDecision decision, Observation observation)
        {
            RequestBody.CheckNumbers(observation);
            if (_remember && decision.UnderWay)
            {
                return;
            }
            if (decision.Asked == null)
            {
                _asking.Add(decision);
            }
            decision.Asked = observation;
        }

        /// <summary>The agent's newest action; null while there is none, and when it is stale.</summary>
        public PolicyAction ActionOf(AgentDecision decision) => decision.Newest(_clock.Now - _staleAfter);

        /// <summary>Sends what was asked for; ends when that is answered or has failed. Throws nothing.</summary>
        public async Task FlushAsync(CancellationToken cancellation = default(CancellationToken))
        {
            List<Question> questions = TakeQuestions();
            if (questions.Count == 0)
            {
                return;
            }
            long request = ++_requests;
            try
            {
                Observation[] observations = questions.ConvertAll(one => one.Observation).ToArray();
                Prediction prediction = await _policy.PredictAsync(observations, cancellation);
                for (int i = 0; i < questions.Count; i++)
                {
                    questions[i].Decision.Take(prediction.Actions[i], _clock.Now, request, questions[i].Episode);
                }
                Answered?.Invoke(prediction);
            }
            catch (GamedojoException error)
            {
                if (error is StaleStateException)
                {
                    questions.ForEach(one => one.Decision.Forget());
                }
                Failed?.Invoke(error);
            }
            catch (OperationCanceledException)
            {
                // The caller gave it up: nobody waits for these actions.
            }
            catch (ObjectDisposedException)
            {
                // The scene has ended.
            }
            finally
            {
                questions.ForEach(one => one.Decision.UnderWay = false);
            }
        }

        List<Question> TakeQuestions()
        {
            var questions = new List<Question>(_asking.Count);
            foreach (AgentDecision decision in _asking)
            {
                Observation observation = decision.Asked;
                if (observation == null)
                {
                    continue;  // its episode has ended since
                }
                if (_remember)
                {
                    observation.Remember(decision.State);
                }
                questions.Add(new Question { Decision = decision, Observation = observation, Episode = decision.Episode });
                decision.Asked = null;
                decision.UnderWay = true;
            }
            _asking.Clear();
            return questions;
        }

        struct Question
        {
            public AgentDecision Decision;
            public Observation Observation;
            public int Episode;
        }
    }
}
