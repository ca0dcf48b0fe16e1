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
        TimeSpan _answeredAt;
        long _newest;
        int _episode;

        internal Observation Asked { get; set; }

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
                Asked = null;
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
        readonly List<AgentDecision> _asking = new List<AgentDecision>();
        long _requests;

        /// <param name="staleAfter">An action that was answered longer ago than this is no longer acted on.</param>
        public DecisionBatcher(RemotePolicy policy, IClock clock, TimeSpan staleAfter)
        {
            _policy = policy;
            _clock = clock;
            _staleAfter = staleAfter;
        }

        /// <summary>A request was not answered; its agents keep the action they have, until it is stale.</summary>
        public event Action<GamedojoException> Failed;

        /// <summary>A request was answered.</summary>
        public event Action<Prediction> Answered;

        /// <summary>Has this agent asked for with the next flush; asking again before that replaces the observation.</summary>
        /// <exception cref="InvalidInputException">A number is not finite: the other agents shall not suffer for that.</exception>
        public void Ask(AgentDecision decision, Observation observation)
        {
            RequestBody.CheckNumbers(observation);
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
            var decisions = new List<AgentDecision>(_asking.Count);
            var observations = new List<Observation>(_asking.Count);
            var episodes = new List<int>(_asking.Count);
            foreach (AgentDecision decision in _asking)
            {
                if (decision.Asked != null)  // null: its episode has ended since
                {
                    decisions.Add(decision);
                    observations.Add(decision.Asked);
                    episodes.Add(decision.Episode);
                    decision.Asked = null;
                }
            }
            _asking.Clear();
            if (decisions.Count == 0)
            {
                return;
            }
            long request = ++_requests;
            try
            {
                Prediction prediction = await _policy.PredictAsync(observations, cancellation);
                for (int i = 0; i < decisions.Count; i++)
                {
                    decisions[i].Take(prediction.Actions[i], _clock.Now, request, episodes[i]);
                }
                Answered?.Invoke(prediction);
            }
            catch (GamedojoException error)
            {
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
        }
    }
}
