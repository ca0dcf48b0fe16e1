using System;
using Gamedojo.Unity;
using Unity.MLAgents;
using Unity.MLAgents.Actuators;
using Unity.MLAgents.Policies;
using Unity.MLAgents.Sensors;
using UnityEngine;

namespace Gamedojo.MLAgents
{
    /// <summary>
    /// An Agent whose decisions are made by a served policy. Derive from it instead of Agent, and leave the rest as it is.
    ///
    /// ML-Agents' IPolicy is internal, and its communicator starts in builds only when a trainer has started them; what is
    /// open is the heuristic. So this agent is heuristic, and its heuristic hands out the newest action that the policy has
    /// answered: a decision acts on what the agent saw one answer ago (a step or more). While a trainer is connected
    /// (mlagents-learn, gamedojo), the agent is an ordinary one.
    /// </summary>
    public abstract class RemoteAgent : Agent
    {
        [Tooltip("Left empty: the one on this object or above it.")]
        [SerializeField] RemotePolicyBehaviour remotePolicy;

        readonly AgentDecision _decision = new AgentDecision();
        readonly Observation _observation = new Observation();
        BehaviorParameters _parameters;
        MaskRecorder _mask;
        SensorReader _sensors;
        string _vectorSensor;
        float[] _vector;
        int _episode = -1;
        bool _vectorAlone;
        string _complaint;

        /// <summary>Where this agent asks; may be set before it decides for the first time.</summary>
        public RemotePolicyBehaviour RemotePolicy
        {
            get { return remotePolicy; }
            set { remotePolicy = value; }
        }

        /// <summary>True while the agent acts on its fallback.</summary>
        public bool ActsOnFallback { get; private set; }

        /// <inheritdoc/>
        protected override void OnEnable()
        {
            _parameters = GetComponent<BehaviorParameters>();
            if (!Academy.Instance.IsCommunicatorOn)
            {
                _parameters.BehaviorType = BehaviorType.HeuristicOnly;
            }
            if (remotePolicy == null)
            {
                remotePolicy = GetComponentInParent<RemotePolicyBehaviour>();
            }
            base.OnEnable();
        }

        /// <summary>Asks for the next decision, and acts on the newest that has come; Fallback is the one to override.</summary>
        public sealed override void Heuristic(in ActionBuffers actionsOut)
        {
            PolicyAction action = null;
            try
            {
                action = Decide();
            }
            catch (InvalidInputException error)
            {
                Complain(error.Message);
            }
            ActsOnFallback = action == null || !Fill(actionsOut, action);
            if (ActsOnFallback)
            {
                Clear(actionsOut);
                Fallback(actionsOut);
            }
        }

        /// <summary>What to do while no answer is there: zeros, unless it is overridden. The buffers come cleared.</summary>
        protected virtual void Fallback(in ActionBuffers actionsOut)
        {
        }

        /// <summary>Fills in what the policy is told: all sensors, by name. Override it to tell something else.</summary>
        protected virtual void Observe(Observation observation)
        {
            if (_vectorAlone)
            {
                observation.Set(_vectorSensor, ReadVector());
                return;
            }
            _sensors = _sensors ?? new SensorReader(this);
            _sensors.Read(observation);
        }

        /// <returns>The newest action; null while there is none.</returns>
        PolicyAction Decide()
        {
            if (remotePolicy == null)
            {
                throw new InvalidInputException("there is no Remote Policy on it or above it.");
            }
            DecisionBatcher batcher = remotePolicy.Batcher;
            if (batcher == null)
            {
                return null;  // disabled, or not connected yet
            }
            if (_mask == null)
            {
                Prepare();
            }
            if (_episode != CompletedEpisodes)
            {
                _episode = CompletedEpisodes;
                _decision.Reset();
            }
            Observe(_observation);
            _mask.Clear();
            WriteDiscreteActionMask(_mask);
            batcher.Ask(_decision, _observation.Allow(_mask.Allowed));
            PolicyAction action = batcher.ActionOf(_decision);
            // What was allowed when the policy was asked may be forbidden by now.
            return action == null || _mask.Allows(action.Discrete) ? action : null;
        }

        void Prepare()
        {
            if (GetComponents<ActuatorComponent>().Length > 0)
            {
                throw new InvalidInputException(
                    "actions of actuator components are not handed out; only the agent's own are.");
            }
            BrainParameters brain = _parameters.BrainParameters;
            int size = brain.VectorObservationSize;
            int stacked = brain.NumStackedVectorObservations;
            _vectorAlone = HasVectorAlone(size);
            _vector = new float[size * Math.Max(stacked, 1)];
            // The names that ML-Agents gives them (VectorSensor.cs, StackingSensor.cs).
            _vectorSensor = "VectorSensor_size" + size;
            if (stacked > 1)
            {
                _vectorSensor = "StackingSensor_size" + stacked + "_" + _vectorSensor;
            }
            _mask = new MaskRecorder(brain.ActionSpec.BranchSizes ?? new int[0]);
        }

        bool HasVectorAlone(int size)
        {
            SensorComponent[] components = _parameters.UseChildSensors
                ? GetComponentsInChildren<SensorComponent>()
                : GetComponents<SensorComponent>();
            return size > 0 && components.Length == 0 &&
                _parameters.ObservableAttributeHandling == ObservableAttributeOptions.Ignore;
        }

        float[] ReadVector()
        {
            var collected = _parameters.BrainParameters.NumStackedVectorObservations > 1
                ? GetStackedObservations()
                : GetObservations();
            if (collected.Count != _vector.Length)
            {
                throw new InvalidInputException(
                    "CollectObservations gave " + collected.Count + " numbers; Behavior Parameters promise " +
                    _vector.Length + ".");
            }
            collected.CopyTo(_vector, 0);
            return _vector;
        }

        bool Fill(in ActionBuffers actionsOut, PolicyAction action)
        {
            ActionSegment<float> continuous = actionsOut.ContinuousActions;
            ActionSegment<int> discrete = actionsOut.DiscreteActions;
            if (continuous.Length != action.Continuous.Length || discrete.Length != action.Discrete.Length)
            {
                Complain(
                    "it takes " + continuous.Length + " continuous and " + discrete.Length +
                    " discrete actions, and the policy gives " + action.Continuous.Length + " and " +
                    action.Discrete.Length + ": another policy, or another behavior.");
                return false;
            }
            for (int i = 0; i < continuous.Length; i++)
            {
                continuous[i] = action.Continuous[i];
            }
            for (int i = 0; i < discrete.Length; i++)
            {
                discrete[i] = action.Discrete[i];
            }
            return true;
        }

        /// <summary>Tells what is wrong, once and not at every decision.</summary>
        void Complain(string what)
        {
            if (what != _complaint)
            {
                _complaint = what;
                Debug.LogError("Gamedojo: " + name + " acts on its fallback: " + what, this);
            }
        }

        static void Clear(in ActionBuffers actionsOut)
        {
            ActionSegment<float> continuous = actionsOut.ContinuousActions;
            for (int i = 0; i < continuous.Length; i++)
            {
                continuous[i] = 0f;
            }
            ActionSegment<int> discrete = actionsOut.DiscreteActions;
            for (int i = 0; i < discrete.Length; i++)
            {
                discrete[i] = 0;
            }
        }
    }
}
