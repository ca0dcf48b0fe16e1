using System.Linq;
using Gamedojo.MLAgents;
using Gamedojo.Unity;
using Unity.MLAgents;
using Unity.MLAgents.Actuators;
using Unity.MLAgents.Policies;
using Unity.MLAgents.Sensors;
using UnityEngine;

namespace Gamedojo.Tests
{
    /// <summary>Agents made of sensors, as most are; LineWalker has none.</summary>
    static class AgentScene
    {
        sealed class Grid : SensorComponent, ISensor
        {
            public override ISensor[] CreateSensors() => new ISensor[] { this };

            public ObservationSpec GetObservationSpec() => new ObservationSpec(1, 2, 2);

            public string GetName() => "GridSensor";

            public int Write(ObservationWriter writer)
            {
                writer.AddList(new[] { 1f, 2f, 3f, 4f });
                return 4;
            }
        }

        sealed class Lever : ActuatorComponent
        {
        }

        class Driver : RemoteAgent
        {
            public int[] Forbidden { get; set; } = new int[0];

            public float Speed { get; set; } = 0.5f;

            public ActionBuffers Taken { get; private set; }

            public override void CollectObservations(VectorSensor sensor)
            {
                sensor.AddObservation(Speed);
                sensor.AddObservation(2f);
            }

            public override void WriteDiscreteActionMask(IDiscreteActionMask actionMask)
            {
                foreach (int choice in Forbidden)
                {
                    actionMask.SetActionEnabled(1, choice, false);
                }
            }

            public override void OnActionReceived(ActionBuffers actions) => Taken = actions;

            protected override void Fallback(in ActionBuffers actionsOut)
            {
                ActionSegment<float> continuous = actionsOut.ContinuousActions;
                continuous[0] = -1f;
            }

            void FixedUpdate() => RequestDecision();
        }

        /// <summary>An agent of a vector alone, then one of two sensors; one request each is looked at by the test.</summary>
        public static void SensorsAreRead(string url, string key)
        {
            RemotePolicyBehaviour policy = Policy(url, key);
            Driver vector = Agent(policy, "vector");
            var frames = new Frames(vector, policy);
            frames.Until(() => !vector.ActsOnFallback && vector.Taken.ContinuousActions.Length > 0, "an answer");
            Check.Equal(0.25f, vector.Taken.ContinuousActions[0]);
            Check.Same(new[] { 1, 2 }, vector.Taken.DiscreteActions.Array);
            Check.Equal(BehaviorType.HeuristicOnly, vector.GetComponent<BehaviorParameters>().BehaviorType);
            Engine.Disable(vector);
            Engine.Disable(policy);

            policy = Policy(url, key);
            Driver grid = Agent(policy, "grid", gameObject => gameObject.AddComponent<Grid>());
            frames = new Frames(grid, policy);
            frames.Until(() => !grid.ActsOnFallback && grid.Taken.ContinuousActions.Length > 0, "an answer");
            Engine.Disable(grid);
            Engine.Disable(policy);
            Check.Same(new string[0], UnityEngine.Debug.Told);
        }

        /// <summary>The server answers choice 2 of the second branch; it is forbidden after the first answer.</summary>
        public static void MaskedActionIsNotTaken(string url, string key)
        {
            RemotePolicyBehaviour policy = Policy(url, key);
            Driver driver = Agent(policy, "driver");
            var frames = new Frames(driver, policy);
            frames.Until(() => !driver.ActsOnFallback && driver.Taken.ContinuousActions.Length > 0, "an answer");
            driver.Forbidden = new[] { 2 };
            frames.One();
            Check.That(driver.ActsOnFallback, "the forbidden action is not taken");
            Check.Equal(-1f, driver.Taken.ContinuousActions[0], "the fallback's action");
            Check.Equal(0, driver.Taken.DiscreteActions[1], "the fallback comes cleared");
            frames.Until(() => !driver.ActsOnFallback, "an action that is allowed");

            driver.Forbidden = new int[0];
            driver.Speed = float.NaN;
            frames.One();
            frames.One();
            Check.Contains("number 0 is NaN", UnityEngine.Debug.Told.Single());
            driver.Speed = 0.5f;
            frames.Until(() => !driver.ActsOnFallback, "an answer after the mistake");

            Driver lever = Agent(policy, "lever", gameObject => gameObject.AddComponent<Lever>());
            frames.Add(lever);
            frames.One();
            Check.Contains("actuator components", UnityEngine.Debug.Told.Last());
            Driver homeless = Agent(null, "homeless");
            frames.Add(homeless);
            frames.One();
            Check.Contains("homeless acts on its fallback: there is no Remote Policy", UnityEngine.Debug.Told.Last());
            Engine.Disable(policy);
        }

        static RemotePolicyBehaviour Policy(string url, string key)
        {
            var policy = new GameObject("policy").AddComponent<RemotePolicyBehaviour>();
            Engine.Set(policy, "timeoutSeconds", 20f);
            Engine.Set(policy, "staleAfterSeconds", 60f);
            policy.Connect(url, "basic", key);
            return policy;
        }

        static Driver Agent(RemotePolicyBehaviour policy, string name, System.Action<GameObject> add = null)
        {
            var gameObject = new GameObject(name);
            gameObject.SetActive(false);
            var parameters = gameObject.AddComponent<BehaviorParameters>();
            parameters.BrainParameters.VectorObservationSize = 2;
            parameters.BrainParameters.ActionSpec = new ActionSpec(1, new[] { 2, 3 });
            add?.Invoke(gameObject);
            var driver = gameObject.AddComponent<Driver>();
            driver.RemotePolicy = policy;
            gameObject.SetActive(true);
            return driver;
        }
    }
}
