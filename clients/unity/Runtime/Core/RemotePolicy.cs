using System;
using System.Collections.Generic;
using System.Globalization;
using System.Threading;
using System.Threading.Tasks;

namespace Gamedojo
{
    /// <summary>
    /// Asks a served policy for actions over the predict API. Every wait is bounded by the settings' time-out and can be
    /// cancelled. May be called from several threads; a call goes on in the context it came from.
    /// </summary>
    public sealed class RemotePolicy : IDisposable
    {
        static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(50);
        static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(30);

        // What is waited for where nobody says how long: API Gateway throttles without a Retry-After, and nobody may be there.
        static readonly TimeSpan UsualPause = TimeSpan.FromSeconds(1);

        readonly RemotePolicySettings _settings;
        readonly Uri _url;
        readonly IHttpTransport _transport;
        readonly IClock _clock;
        readonly Gate _gate;
        readonly CancellationTokenSource _disposal = new CancellationTokenSource();
        readonly object _pauseLock = new object();
        TimeSpan _pausedUntil = TimeSpan.MinValue;
        GamedojoException _pauseCause;

        /// <summary>Over System.Net.Http.</summary>
        /// <inheritdoc cref="RemotePolicy(RemotePolicySettings, IHttpTransport, IClock)"/>
        public RemotePolicy(RemotePolicySettings settings)
            : this(settings, new HttpClientTransport(settings.Check(), settings.MaxInFlight), new SystemClock())
        {
        }

        /// <param name="settings">Read now; later changes have no effect on the address and the limits.</param>
        /// <param name="transport">Is disposed of with this policy.</param>
        /// <param name="clock">What time-outs and pauses go by.</param>
        /// <exception cref="InvalidInputException">A setting cannot be right.</exception>
        public RemotePolicy(RemotePolicySettings settings, IHttpTransport transport, IClock clock)
        {
            _url = settings.Check();
            _settings = settings;
            _transport = transport;
            _clock = clock;
            _gate = new Gate(settings.MaxInFlight, settings.WhenFull);
        }

        /// <summary>One agent's action.</summary>
        /// <inheritdoc cref="PredictAsync(IReadOnlyList{Observation}, CancellationToken)"/>
        public async Task<PolicyAction> PredictAsync(
            Observation observation, CancellationToken cancellation = default(CancellationToken))
        {
            Prediction prediction = await PredictAsync(new[] { observation }, cancellation);
            return prediction.Actions[0];
        }

        /// <summary>
        /// An action for each agent, by one request. With a fallback in the settings, passing troubles give its actions.
        /// </summary>
        /// <exception cref="InvalidInputException">The observations cannot be right; nothing was sent.</exception>
        /// <exception cref="TransientException">Time-out, no connection, back-pressure; thrown without a fallback.</exception>
        /// <exception cref="ApiException">
        /// The API's error answer. <see cref="GamedojoException.IsTransient"/> ones are thrown without a fallback only.
        /// </exception>
        /// <exception cref="UnexpectedAnswerException">Something else answered.</exception>
        /// <exception cref="OperationCanceledException">Cancelled by the caller.</exception>
        /// <exception cref="ObjectDisposedException">This policy was disposed of, before or meanwhile.</exception>
        public async Task<Prediction> PredictAsync(
            IReadOnlyList<Observation> observations, CancellationToken cancellation = default(CancellationToken))
        {
            ThrowIfDisposed();
            byte[] body = RequestBody.Write(_settings, observations);
            try
            {
                return await WithinTimeoutAsync(body, observations.Count, cancellation);
            }
            catch (GamedojoException error) when (error.IsTransient && _settings.Fallback != null)
            {
                var actions = new List<PolicyAction>(observations.Count);
                foreach (Observation observation in observations)
                {
                    actions.Add(_settings.Fallback(observation));
                }
                return new Prediction(_settings.Policy, actions, error);
            }
        }

        /// <summary>Gives up every request and closes the connections. A second call does nothing.</summary>
        public void Dispose()
        {
            if (!_disposal.IsCancellationRequested)
            {
                _disposal.Cancel();
                _transport.Dispose();
            }
        }

        async Task<Prediction> WithinTimeoutAsync(byte[] body, int agents, CancellationToken cancellation)
        {
            TimeSpan deadline = _clock.Now + _settings.Timeout;
            using (var life = CancellationTokenSource.CreateLinkedTokenSource(cancellation, _disposal.Token))
            {
                Task<Prediction> answer = InTurnAsync(body, agents, deadline, life.Token);
                Task end = _clock.Delay(_settings.Timeout, life.Token);
                Task first = await Task.WhenAny(answer, end);
                bool timedOut = first == end && end.Status == TaskStatus.RanToCompletion;
                life.Cancel();
                if (first != answer)
                {
                    Forget(answer);
                }
                cancellation.ThrowIfCancellationRequested();
                ThrowIfDisposed();
                if (timedOut)
                {
                    throw new PredictTimeoutException(
                        "No answer within " + Seconds(_settings.Timeout) + " s from " + _url.Authority + ".");
                }
                return await answer;
            }
        }

        async Task<Prediction> InTurnAsync(byte[] body, int agents, TimeSpan deadline, CancellationToken cancellation)
        {
            await _gate.EnterAsync(cancellation);
            try
            {
                for (int attempt = 1; ; attempt++)
                {
                    await SitOutPauseAsync(deadline, cancellation);
                    GamedojoException failure;
                    try
                    {
                        HttpAnswer answer = await _transport.PostAsync(_url, _settings.ApiKey, body, cancellation);
                        if (answer.Status == 200)
                        {
                            return AnswerReader.Prediction(answer, agents);
                        }
                        failure = AnswerReader.Error(answer);
                    }
                    catch (UnreachableException error)
                    {
                        failure = error;
                    }
                    await PauseAsync(failure, attempt, deadline, cancellation);
                }
            }
            finally
            {
                _gate.Leave();
            }
        }

        /// <summary>
        /// Waits before the next try, or throws the failure when there is none. A prediction changes nothing on the
        /// server, so that asking again is always safe; it is of use where the trouble passes.
        /// </summary>
        async Task PauseAsync(GamedojoException failure, int attempt, TimeSpan deadline, CancellationToken cancellation)
        {
            TimeSpan? asked = (failure as ApiException)?.Problem.RetryAfter;
            if (asked.HasValue || failure is ThrottledException)
            {
                PauseAll(failure, asked ?? UsualPause);
            }
            TimeSpan pause = TimeSpan.FromTicks(FirstPause.Ticks << Math.Min(attempt - 1, 10));
            bool mayPass = failure is UnreachableException || failure is ThrottledException ||
                failure is ServiceUnavailableException;
            if (!mayPass || attempt > _settings.MaxRetries || _clock.Now + Max(pause, PauseLeft()) >= deadline)
            {
                if (failure is UnreachableException)
                {
                    PauseAll(failure, UsualPause);
                }
                throw failure;
            }
            await _clock.Delay(pause, cancellation);
        }

        /// <summary>A pause holds for every request of this policy; a longer one that holds already stays.</summary>
        void PauseAll(GamedojoException cause, TimeSpan duration)
        {
            lock (_pauseLock)
            {
                TimeSpan until = _clock.Now + Min(duration, LongestPause);
                if (until > _pausedUntil)
                {
                    _pausedUntil = until;
                    _pauseCause = cause;
                }
            }
        }

        TimeSpan PauseLeft()
        {
            lock (_pauseLock)
            {
                return _pauseCause == null ? TimeSpan.Zero : Max(_pausedUntil - _clock.Now, TimeSpan.Zero);
            }
        }

        async Task SitOutPauseAsync(TimeSpan deadline, CancellationToken cancellation)
        {
            TimeSpan left = PauseLeft();
            if (left == TimeSpan.Zero)
            {
                return;
            }
            if (_clock.Now + left >= deadline)
            {
                throw new PausedException(
                    "Nothing is sent for another " + Seconds(left) + " s: " + _pauseCause.Message, _pauseCause);
            }
            await _clock.Delay(left, cancellation);
        }

        void ThrowIfDisposed()
        {
            if (_disposal.IsCancellationRequested)
            {
                throw new ObjectDisposedException(nameof(RemotePolicy));
            }
        }

        static void Forget(Task task) =>
            task.ContinueWith(done => done.Exception, TaskContinuationOptions.ExecuteSynchronously);

        static string Seconds(TimeSpan time) => time.TotalSeconds.ToString("0.0##", CultureInfo.InvariantCulture);

        static TimeSpan Min(TimeSpan one, TimeSpan other) => one < other ? one : other;

        static TimeSpan Max(TimeSpan one, TimeSpan other) => one > other ? one : other;
    }
}
