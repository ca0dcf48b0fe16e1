using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;

namespace Gamedojo.Tests
{
    /// <summary>What the tests in tests/integration/unity and tests/e2e have a client do against a real server.</summary>
    static class Scenarios
    {
        const string Key = "predict-key";

        static readonly Observation Seen = new Observation().Set("BasicSensor", new[] { 0.5f, 1f });

        public static async Task Batch(string url)
        {
            using (RemotePolicy policy = Policy(url))
            {
                Observation other = new Observation().Set("BasicSensor", new[] { -1e-7f, 3f }).Allow(new[] { true, false });
                Prediction prediction = await policy.PredictAsync(new[] { Seen, other });
                Check.Equal("v1", prediction.Version);
                Check.Same(new[] { 1, 0 }, prediction.Actions.Select(action => action.Discrete[0]));
                Check.Same(new[] { 0.25f, -0.5f }, prediction.Actions.Select(action => action.Continuous[0]));
            }
        }

        public static async Task Remembers(string url)
        {
            using (RemotePolicy policy = Policy(url))
            {
                string state = null;
                for (int step = 0; step < 2; step++)
                {
                    var seen = new Observation().Set("BasicSensor", new[] { (float)step });
                    state = (await policy.PredictAsync(seen.Remember(state))).State;
                }
                Check.Equal("token-2", state);
            }
        }

        public static async Task OneAgent(string url)
        {
            using (RemotePolicy policy = Policy(url))
            {
                Check.Same(new[] { 1 }, (await policy.PredictAsync(Seen)).Discrete);
            }
        }

        public static async Task Fails(string url, string exception, string message)
        {
            using (RemotePolicy policy = Policy(url))
            {
                var error = await Check.ThrowsAsync<GamedojoException>(() => policy.PredictAsync(Seen));
                Check.Equal(exception, error.GetType().Name);
                Check.Contains(message, error.Message);
                Check.That(!error.ToString().Contains(Key), "the key is in no error");
            }
        }

        public static async Task ProblemIsTold(string url)
        {
            using (RemotePolicy policy = Policy(url))
            {
                var error = await Check.ThrowsAsync<RequestRefusedException>(() => policy.PredictAsync(Seen));
                Check.Equal("InvalidObservation", error.Problem.Code);
                Check.Equal("Sensor 'ray': shape [3] expected, [2] given.", error.Problem.Detail);
                Check.Equal("Send observations of the shapes in the policy's spec.", error.Problem.Remedy);
                Check.Equal("observations.ray", error.Problem.Errors.Single().Field);
                Check.Equal("too short", error.Problem.Errors.Single().Message);
            }
        }

        public static async Task TimeoutFallsBack(string url)
        {
            using (RemotePolicy policy = Policy(url, settings =>
            {
                settings.Timeout = TimeSpan.FromSeconds(2);
                settings.Fallback = _ => new PolicyAction(null, new[] { 7 });
            }))
            {
                Prediction prediction = await policy.PredictAsync(new[] { Seen });
                Check.That(prediction.Error is PredictTimeoutException, "a time-out: " + prediction.Error);
                Check.Same(new[] { 7 }, prediction.Actions[0].Discrete);
                Check.Same(new[] { 1 }, (await policy.PredictAsync(Seen)).Discrete);
            }
        }

        public static async Task PauseIsKept(string url)
        {
            using (RemotePolicy policy = Policy(url))
            {
                var error = await Check.ThrowsAsync<ServiceUnavailableException>(() => policy.PredictAsync(Seen));
                Check.Equal(TimeSpan.FromSeconds(300), error.Problem.RetryAfter.Value);
                await Check.ThrowsAsync<PausedException>(() => policy.PredictAsync(Seen));
            }
        }

        public static async Task ManyAgents(string url, string agents)
        {
            int count = int.Parse(agents, CultureInfo.InvariantCulture);
            using (RemotePolicy policy = Policy(url))
            {
                IReadOnlyList<Observation> all = Enumerable.Range(0, count).Select(agent => Field(agent % 20)).ToArray();
                Prediction prediction = await policy.PredictAsync(all);
                IEnumerable<int> choices = prediction.Actions.Select(one => one.Discrete[0]);
                Check.Same(Enumerable.Range(0, count).Select(agent => agent % 3), choices);
            }
        }

        public static async Task Burst(string url, string whenFull, string answered)
        {
            using (RemotePolicy policy = Policy(url, settings =>
            {
                settings.MaxInFlight = 2;
                settings.WhenFull = (WhenFull)Enum.Parse(typeof(WhenFull), whenFull);
            }))
            {
                Task<string>[] asked = Enumerable.Range(0, 8).Select(_ => Outcome(policy)).ToArray();
                string[] outcomes = await Task.WhenAll(asked);
                Check.Equal(answered, string.Concat(outcomes));
            }
        }

        public static async Task Sequence(string url, string requests)
        {
            using (RemotePolicy policy = Policy(url))
            {
                for (int i = 0; i < int.Parse(requests, CultureInfo.InvariantCulture); i++)
                {
                    await policy.PredictAsync(Seen);
                }
            }
        }

        public static async Task GivenUp(string url)
        {
            using (var cancel = new CancellationTokenSource(200))
            using (RemotePolicy policy = Policy(url))
            {
                await Check.ThrowsAsync<OperationCanceledException>(() => policy.PredictAsync(Seen, cancel.Token));
                Task<PolicyAction> asked = policy.PredictAsync(Seen);
                policy.Dispose();
                await Check.ThrowsAsync<ObjectDisposedException>(() => asked);
            }
        }

        public static async Task LateAnswer(string url)
        {
            using (RemotePolicy policy = Policy(url))
            {
                await policy.PredictAsync(Seen);
                var batcher = new DecisionBatcher(policy, new SystemClock(), TimeSpan.FromSeconds(60));
                var decision = new AgentDecision();
                batcher.Ask(decision, Seen);
                Task slow = batcher.FlushAsync();
                await Task.Delay(1000);  // so that the server gives its slow answer to the older request
                batcher.Ask(decision, Seen);
                await batcher.FlushAsync();
                Check.Same(new[] { 2 }, batcher.ActionOf(decision).Discrete);
                await slow;
                Check.Same(new[] { 2 }, batcher.ActionOf(decision).Discrete, "after the older answer");
            }
        }

        /// <summary>Prints the choice for each field of the line, for the test to compare.</summary>
        public static async Task AskBasic(string url, string key)
        {
            using (RemotePolicy policy = Policy(url, settings =>
            {
                settings.ApiKey = key;
                settings.Timeout = TimeSpan.FromSeconds(30);
            }))
            {
                Prediction prediction = await policy.PredictAsync(Enumerable.Range(0, 20).Select(Field).ToArray());
                Check.Equal("Basic", prediction.Behavior);
                Console.WriteLine("moves   " + string.Join(",", prediction.Actions.Select(action => action.Discrete[0])));
                Observation misfit = new Observation().Set("BasicSensor", new[] { 1f });
                var error = await Check.ThrowsAsync<RequestRefusedException>(() => policy.PredictAsync(misfit));
                Check.Contains("shape [20]", error.Message);
            }
            using (RemotePolicy stranger = Policy(url, settings =>
            {
                settings.ApiKey = "wrong";
                settings.Timeout = TimeSpan.FromSeconds(30);
            }))
            {
                await Check.ThrowsAsync<ApiKeyException>(() => stranger.PredictAsync(Field(0)));
            }
        }

        public static void WalkersReachTheGoal(string url, string key, string transport) =>
            new Walk(url, key, transport, 20f).ToTheGoal();

        public static void WalkersStayWithoutAnswers(string url, string key, string transport, string timeoutSeconds) =>
            new Walk(url, key, transport, float.Parse(timeoutSeconds, CultureInfo.InvariantCulture)).WithoutAnswers();

        public static void SensorsAreRead(string url) => AgentScene.SensorsAreRead(url, Key);

        public static void MaskedActionIsNotTaken(string url) => AgentScene.MaskedActionIsNotTaken(url, Key);

        static RemotePolicy Policy(string url, Action<RemotePolicySettings> change = null)
        {
            var settings = new RemotePolicySettings { Url = url, Policy = "basic", ApiKey = Key };
            settings.Timeout = TimeSpan.FromSeconds(20);
            change?.Invoke(settings);
            return new RemotePolicy(settings);
        }

        static Observation Field(int at)
        {
            var oneHot = new float[20];
            oneHot[at] = 1f;
            return new Observation().Set("BasicSensor", oneHot);
        }

        static async Task<string> Outcome(RemotePolicy policy)
        {
            try
            {
                await policy.PredictAsync(Seen);
                return "a";
            }
            catch (OverloadedException)
            {
                return "-";
            }
        }
    }
}
