using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading.Tasks;

namespace Gamedojo.Tests
{
    static class BatcherTests
    {
        public static async Task OneRequestAsksForAll()
        {
            var scene = new Scene(3);
            scene.AskAll();
            Task flushed = scene.Batcher.FlushAsync();
            Check.Equal("{\"observations\":[[[0],[1],[2]]],\"deterministic\":true}", scene.Made.Transport.Bodies.Single());
            Check.Same(new int?[] { null, null, null }, scene.Choices());
            scene.Made.Transport.Act(0, 2, 1, 0);
            await flushed;
            Check.Same(new int?[] { 2, 1, 0 }, scene.Choices());
        }

        public static async Task NothingAskedIsNothingSent()
        {
            var scene = new Scene(1);
            await scene.Batcher.FlushAsync();
            Check.Equal(0, scene.Made.Transport.Bodies.Count, "requests");
        }

        public static async Task AskingTwiceInAStepReplacesTheObservation()
        {
            var scene = new Scene(1);
            scene.AskAll();
            scene.Batcher.Ask(scene.Decisions[0], Observation.Of(new[] { 7f }));
            Task flushed = scene.Batcher.FlushAsync();
            Check.Equal("{\"observations\":[[[7]]],\"deterministic\":true}", scene.Made.Transport.Bodies.Single());
            scene.Made.Transport.Act(0, 1);
            await flushed;
        }

        public static async Task AnOlderAnswerThatComesLateChangesNothing()
        {
            var scene = new Scene(1);
            scene.AskAll();
            Task older = scene.Batcher.FlushAsync();
            scene.AskAll();
            Task newer = scene.Batcher.FlushAsync();
            scene.Made.Transport.Act(1, 5);
            await newer;
            scene.Made.Transport.Act(0, 3);
            await older;
            Check.Same(new int?[] { 5 }, scene.Choices());
        }

        public static async Task AnswersOfAnEndedEpisodeCountNoMore()
        {
            var scene = new Scene(2);
            scene.AskAll();
            Task flushed = scene.Batcher.FlushAsync();
            scene.Decisions[0].Reset();
            scene.Made.Transport.Act(0, 1, 2);
            await flushed;
            Check.Same(new int?[] { null, 2 }, scene.Choices());
            scene.AskAll();
            scene.Decisions[1].Reset();
            flushed = scene.Batcher.FlushAsync();
            scene.Made.Transport.Act(0, 4);
            await flushed;
            Check.Same(new int?[] { 4, null }, scene.Choices());
        }

        public static async Task AStaleActionIsNotActedOn()
        {
            var scene = new Scene(1);
            scene.AskAll();
            Task flushed = scene.Batcher.FlushAsync();
            scene.Made.Transport.Act(0, 1);
            await flushed;
            scene.Made.Clock.Advance(0.4);
            Check.Same(new int?[] { 1 }, scene.Choices());
            scene.Made.Clock.Advance(0.2);
            Check.Same(new int?[] { null }, scene.Choices());
        }

        public static async Task AMemorySkipsNothing()
        {
            var scene = new Scene(2, true);
            await scene.Answered("state\":[null,null]", "a1", "b1");
            scene.Decisions[1].Reset();
            Task flushed = scene.Answered("state\":[\"a1\",null]", "a2", "b1");
            await flushed;
            scene.AskAll();
            Task underWay = scene.Batcher.FlushAsync();
            scene.AskAll();
            await scene.Batcher.FlushAsync();
            Check.Equal(3, scene.Made.Transport.Bodies.Count, "requests: none while one is under way");
            scene.Made.Transport.Answer(400, "{\"code\":\"StaleState\"}");
            await underWay;
            await scene.Answered("state\":[null,null]", "a1", "b1");
        }

        public static async Task FailuresAreToldAndNotThrown()
        {
            var scene = new Scene(1);
            var told = new List<GamedojoException>();
            scene.Batcher.Failed += told.Add;
            scene.AskAll();
            Task flushed = scene.Batcher.FlushAsync();
            scene.Made.Clock.Advance(2);
            await flushed;
            Check.That(told.Single() is PredictTimeoutException, "the time-out is told");
            scene.AskAll();
            flushed = scene.Batcher.FlushAsync();
            scene.Made.Policy.Dispose();
            await flushed;
            Check.Equal(1, told.Count, "failures told");
        }

        public static void AnAgentWithANumberThatIsNotFiniteAsksInVain()
        {
            var scene = new Scene(2);
            scene.AskAll();
            Check.Throws<InvalidInputException>(
                () => scene.Batcher.Ask(scene.Decisions[1], Observation.Of(new[] { float.NaN })));
            scene.Batcher.FlushAsync();
            Check.Equal("{\"observations\":[[[0],[1]]],\"deterministic\":true}", scene.Made.Transport.Bodies.Single());
        }

        sealed class Scene
        {
            public Scene(int agents, bool remember = false)
            {
                Made = new Made();
                Batcher = new DecisionBatcher(Made.Policy, Made.Clock, TimeSpan.FromSeconds(0.5), remember);
                Decisions = Enumerable.Range(0, agents).Select(_ => new AgentDecision()).ToArray();
            }

            public Made Made { get; }

            public DecisionBatcher Batcher { get; }

            public AgentDecision[] Decisions { get; }

            public void AskAll()
            {
                for (int agent = 0; agent < Decisions.Length; agent++)
                {
                    Batcher.Ask(Decisions[agent], Observation.Of(new[] { (float)agent }));
                }
            }

            /// <summary>A step that is sent with these states and answered with those.</summary>
            public async Task Answered(string sent, params string[] states)
            {
                AskAll();
                Task flushed = Batcher.FlushAsync();
                Check.Contains(sent, Made.Transport.Bodies.Last());
                Made.Transport.Remember(0, states);
                await flushed;
            }

            public IEnumerable<int?> Choices() => Decisions.Select(one => Batcher.ActionOf(one)?.Discrete[0]);
        }
    }
}
