using System;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;

namespace Gamedojo.Tests
{
    /// <summary>RemotePolicy with time and answers in the test's hand.</summary>
    static class PolicyTests
    {
        static readonly Observation Seen = Observation.Of(new[] { 1f });

        public static async Task AnAnswerIsTheAction()
        {
            var made = new Made();
            Task<PolicyAction> asked = made.Policy.PredictAsync(Seen);
            made.Transport.Answer(200, Answer("{\"continuous\":[0.5,-1],\"discrete\":[2]}"));
            PolicyAction action = await asked;
            Check.Same(new[] { 0.5f, -1f }, action.Continuous);
            Check.Same(new[] { 2 }, action.Discrete);
        }

        public static async Task RetryAfterIsWaitedForWhenThereIsTime()
        {
            var made = new Made(settings => settings.Timeout = TimeSpan.FromSeconds(10));
            Task<PolicyAction> asked = made.Policy.PredictAsync(Seen);
            made.Transport.Answer(429, "{\"code\":\"Throttled\"}", "3");
            Check.Equal(0, made.Transport.Pending, "requests during the pause");
            made.Clock.Advance(2.9);
            Check.Equal(0, made.Transport.Pending, "requests during the pause");
            made.Clock.Advance(0.2);
            made.Transport.Act(0, 1);
            Check.Same(new[] { 1 }, (await asked).Discrete);
            Check.Equal(2, made.Transport.Bodies.Count, "requests");
        }

        public static async Task ADateUntilWhichToWaitIsOneByTheServersClock()
        {
            string[] dates =
            {
                "Sun, 06 Nov 1994 08:49:40 GMT", "Sunday, 06-Nov-94 08:49:40 GMT", "Sun Nov  6 08:49:40 1994",
            };
            foreach (string until in dates)
            {
                var made = new Made(settings => settings.MaxRetries = 0);
                Task<PolicyAction> asked = made.Policy.PredictAsync(Seen);
                made.Transport.Answer(503, "{}", until, date: "Sun, 06 Nov 1994 08:49:37 GMT");
                var error = await Check.ThrowsAsync<ServiceUnavailableException>(() => asked);
                Check.Equal(TimeSpan.FromSeconds(3), error.Problem.RetryAfter.Value);
            }
        }

        public static async Task ADateThatHasPassedAndAnythingElseAskForNoPause()
        {
            foreach (string said in new[] { "Sun, 06 Nov 1994 08:49:37 GMT", "soon", "-7" })
            {
                var made = new Made(settings => settings.MaxRetries = 0);
                Task<PolicyAction> asked = made.Policy.PredictAsync(Seen);
                made.Transport.Answer(503, "{}", said);
                var error = await Check.ThrowsAsync<ServiceUnavailableException>(() => asked);
                Check.Equal(TimeSpan.Zero, error.Problem.RetryAfter ?? TimeSpan.Zero);
            }
        }

        public static async Task APauseThatOutlastsTheTimeoutIsNotWaitedFor()
        {
            var made = new Made();
            Task<PolicyAction> asked = made.Policy.PredictAsync(Seen);
            made.Transport.Answer(503, "{\"code\":\"ModelNotReady\",\"detail\":\"starting\"}", "5");
            var error = await Check.ThrowsAsync<ServiceUnavailableException>(() => asked);
            Check.Equal("ModelNotReady", error.Problem.Code);
            Check.Equal(TimeSpan.FromSeconds(5), error.Problem.RetryAfter.Value);
            var paused = await Check.ThrowsAsync<PausedException>(() => made.Policy.PredictAsync(Seen));
            Check.Contains("starting", paused.Message);
            Check.Equal(1, made.Transport.Bodies.Count, "requests");
            made.Clock.Advance(4.5);
            Task<PolicyAction> later = made.Policy.PredictAsync(Seen);
            made.Clock.Advance(0.6);
            made.Transport.Act(0, 2);
            Check.Same(new[] { 2 }, (await later).Discrete);
        }

        public static async Task ALongerPauseIsNotCutShort()
        {
            var made = new Made(settings => settings.MaxRetries = 0);
            Task<PolicyAction> first = made.Policy.PredictAsync(Seen);
            Task<PolicyAction> second = made.Policy.PredictAsync(Seen);
            made.Transport.Answer(503, "{}", "20");
            made.Transport.Answer(429, "{}");
            await Check.ThrowsAsync<ServiceUnavailableException>(() => first);
            await Check.ThrowsAsync<ThrottledException>(() => second);
            made.Clock.Advance(18.5);
            var paused = await Check.ThrowsAsync<PausedException>(() => made.Policy.PredictAsync(Seen));
            Check.Contains("another 1.5 s", paused.Message);
        }

        public static async Task NobodyIsAskedAtOnceAgainAfterNobodyWasThere()
        {
            var made = new Made(settings =>
            {
                settings.MaxRetries = 0;
                settings.Timeout = TimeSpan.FromSeconds(0.5);
            });
            Task<PolicyAction> asked = made.Policy.PredictAsync(Seen);
            made.Transport.Break();
            await Check.ThrowsAsync<UnreachableException>(() => asked);
            await Check.ThrowsAsync<PausedException>(() => made.Policy.PredictAsync(Seen));
            made.Clock.Advance(1.1);
            Task<PolicyAction> later = made.Policy.PredictAsync(Seen);
            made.Transport.Act(0, 1);
            await later;
        }

        public static async Task RetriesAreBounded()
        {
            var made = new Made(settings => settings.MaxRetries = 2);
            Task<PolicyAction> asked = made.Policy.PredictAsync(Seen);
            for (int attempt = 0; attempt < 3; attempt++)
            {
                made.Transport.Break();
                made.Clock.Advance(0.2);
            }
            await Check.ThrowsAsync<UnreachableException>(() => asked);
            Check.Equal(3, made.Transport.Bodies.Count, "requests");
            Check.Equal(1, made.Transport.Bodies.Distinct().Count(), "different bodies");
        }

        public static async Task WhatCannotGetBetterIsAskedOnce()
        {
            foreach (int status in new[] { 400, 401, 403, 404, 409, 413, 500, 502 })
            {
                var made = new Made();
                Task<PolicyAction> asked = made.Policy.PredictAsync(Seen);
                made.Transport.Answer(status, "{}");
                var error = await Check.ThrowsAsync<ApiException>(() => asked);
                Check.Equal(status, error.Problem.Status);
                Check.Equal(1, made.Transport.Bodies.Count, "requests");
            }
        }

        public static async Task ATimeoutIsTheFallbackIfThereIsOne()
        {
            var made = new Made();
            Task<PolicyAction> asked = made.Policy.PredictAsync(Seen);
            made.Clock.Advance(1.1);
            await Check.ThrowsAsync<PredictTimeoutException>(() => asked);
            Check.Equal(TaskStatus.Canceled, made.Transport.StatusOf(0), "the request");

            var patient = new Made(settings => settings.Fallback = _ => new PolicyAction(null, new[] { 9 }));
            Task<Prediction> safe = patient.Policy.PredictAsync(new[] { Seen, Seen });
            patient.Clock.Advance(1.1);
            Prediction prediction = await safe;
            Check.That(prediction.IsFallback && prediction.Error is PredictTimeoutException, "a fallback with its reason");
            Check.Same(new[] { 9, 9 }, prediction.Actions.Select(action => action.Discrete[0]));
        }

        public static async Task AFallbackHidesNoMistake()
        {
            var made = new Made(settings => settings.Fallback = _ => new PolicyAction(null, null));
            await Check.ThrowsAsync<InvalidInputException>(() => made.Policy.PredictAsync(new Observation()));
            foreach (int status in new[] { 400, 403, 404 })
            {
                Task<PolicyAction> asked = made.Policy.PredictAsync(Seen);
                made.Transport.Answer(status, "{}");
                await Check.ThrowsAsync<ApiException>(() => asked);
            }
            foreach (int status in new[] { 429, 500, 502, 503, 504 })
            {
                var other = new Made(settings =>
                {
                    settings.Fallback = _ => new PolicyAction(null, null);
                    settings.MaxRetries = 0;
                });
                Task<Prediction> asked = other.Policy.PredictAsync(new[] { Seen });
                other.Transport.Answer(status, "{}");
                Check.That((await asked).IsFallback, status + " is answered by the fallback");
            }
        }

        public static async Task TheNewestWaitsAndTheOlderMakesWay()
        {
            var made = new Made(settings => settings.MaxInFlight = 1);
            Task<PolicyAction> first = made.Policy.PredictAsync(Seen);
            Task<PolicyAction> second = made.Policy.PredictAsync(Seen);
            Task<PolicyAction> third = made.Policy.PredictAsync(Seen);
            Check.Contains("newer", (await Check.ThrowsAsync<OverloadedException>(() => second)).Message);
            Check.Equal(1, made.Transport.Bodies.Count, "requests on the wire");
            made.Transport.Act(0, 0);
            await first;
            await made.Sent(2);
            made.Transport.Act(0, 1);
            Check.Same(new[] { 1 }, (await third).Discrete);
        }

        public static async Task AFullGateRefusesIfItShould()
        {
            var made = new Made(settings =>
            {
                settings.MaxInFlight = 1;
                settings.WhenFull = WhenFull.Refuse;
            });
            Task<PolicyAction> first = made.Policy.PredictAsync(Seen);
            await Check.ThrowsAsync<OverloadedException>(() => made.Policy.PredictAsync(Seen));
            made.Transport.Act(0, 0);
            await first;
            Task<PolicyAction> next = made.Policy.PredictAsync(Seen);
            made.Transport.Act(0, 1);
            await next;
        }

        public static async Task WhoGivesUpWaitingLeavesNoTrace()
        {
            var made = new Made(settings => settings.MaxInFlight = 1);
            Task<PolicyAction> first = made.Policy.PredictAsync(Seen);
            var giveUp = new CancellationTokenSource();
            Task<PolicyAction> waiting = made.Policy.PredictAsync(Seen, giveUp.Token);
            giveUp.Cancel();
            await Check.ThrowsAsync<OperationCanceledException>(() => waiting);
            made.Transport.Act(0, 0);
            await first;
            Task<PolicyAction> next = made.Policy.PredictAsync(Seen);
            Check.Equal(2, made.Transport.Bodies.Count, "requests");
            made.Transport.Act(0, 1);
            await next;
        }

        public static async Task CancellingAndDisposingEndWhatIsUnderWay()
        {
            var made = new Made();
            var cancel = new CancellationTokenSource();
            Task<PolicyAction> asked = made.Policy.PredictAsync(Seen, cancel.Token);
            cancel.Cancel();
            await Check.ThrowsAsync<OperationCanceledException>(() => asked);
            await Check.ThrowsAsync<OperationCanceledException>(() => made.Policy.PredictAsync(Seen, cancel.Token));

            Task<PolicyAction> other = made.Policy.PredictAsync(Seen);
            made.Policy.Dispose();
            made.Policy.Dispose();
            await Check.ThrowsAsync<ObjectDisposedException>(() => other);
            await Check.ThrowsAsync<ObjectDisposedException>(() => made.Policy.PredictAsync(Seen));
            Check.That(made.Transport.Disposed, "the transport is disposed of");
        }

        public static async Task AStateGoesOutAndComesBack()
        {
            var made = new Made();
            Observation first = Observation.Of(new[] { 1f }).Remember(null);
            Task<Prediction> asked = made.Policy.PredictAsync(new[] { first, Observation.Of(new[] { 2f }).Remember("ab\"") });
            Check.Contains("\"state\":[null,\"ab\\\"\"]", made.Transport.Bodies[0]);
            string action = "{\"continuous\":[],\"discrete\":[]}";
            made.Transport.Answer(200, Answer(action + "," + action, ",\"state\":[\"x\",null]"));
            Check.Same(new[] { "x", null }, (await asked).Actions.Select(one => one.State));

            Task<PolicyAction> stale = made.Policy.PredictAsync(first);
            made.Transport.Answer(400, "{\"code\":\"StaleState\"}");
            await Check.ThrowsAsync<StaleStateException>(() => stale);
        }

        public static async Task WhatIsNoPredictionIsNamed()
        {
            await Unexpected("<html>Welcome</html>", "<html>");
            await Unexpected("{\"policy\":\"p\",\"version\":\"v\",\"behavior\":\"b\"}", "no list 'actions'");
            await Unexpected("{\"policy\":\"p\",\"version\":\"v\",\"behavior\":\"b\",\"actions\":[]}", "'actions' has 0 entries for 1");
            await Unexpected(Answer("{\"continuous\":[]}"), "no list 'discrete'");
            await Unexpected(Answer("{\"continuous\":[\"1\"],\"discrete\":[]}"), "'continuous'");
            await Unexpected(Answer("{\"continuous\":[1e300],\"discrete\":[]}"), "'continuous'");
            await Unexpected(Answer("{\"continuous\":[],\"discrete\":[-1]}"), "'discrete'");
            await Unexpected(Answer("{\"continuous\":[],\"discrete\":[1.5]}"), "'discrete'");
            await Unexpected(Answer("3"), "an action is no object");
            await Unexpected(Answer("{\"continuous\":[],\"discrete\":[]}", ",\"state\":[]"), "'state' has 0 entries for 1");
            await Unexpected(Answer("{\"continuous\":[],\"discrete\":[]}", ",\"state\":[1]"), "else than texts");
        }

        static string Answer(string actions, string more = "") =>
            "{\"policy\":\"p\",\"version\":\"v\",\"behavior\":\"b\",\"actions\":[" + actions + "]" + more + "}";

        static async Task Unexpected(string body, string why)
        {
            var made = new Made();
            Task<PolicyAction> asked = made.Policy.PredictAsync(Seen);
            made.Transport.Answer(200, body);
            Check.Contains(why, (await Check.ThrowsAsync<UnexpectedAnswerException>(() => asked)).Message);
        }
    }

    /// <summary>A policy, its clock and its transport.</summary>
    sealed class Made
    {
        public Made(Action<RemotePolicySettings> change = null)
        {
            var settings = new RemotePolicySettings { Url = "http://127.0.0.1:1/s", Policy = "basic", ApiKey = "secret" };
            change?.Invoke(settings);
            Policy = new RemotePolicy(settings, Transport, Clock);
        }

        public ManualClock Clock { get; } = new ManualClock();

        public ManualTransport Transport { get; } = new ManualTransport();

        public RemotePolicy Policy { get; }

        /// <summary>Ends when so many requests were sent in all.</summary>
        public async Task Sent(int requests)
        {
            while (Transport.Bodies.Count < requests)
            {
                await Task.Delay(1);
            }
        }
    }
}
