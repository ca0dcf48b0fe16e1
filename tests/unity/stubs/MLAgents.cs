// As much of com.unity.ml-agents 4.0 as the package uses, made anew from its public documentation: names, signatures,
// what is internal, and the order of a step. What is internal here is internal there.
using System;
using System.Collections.Generic;
using System.Collections.ObjectModel;
using System.Linq;
using Unity.MLAgents.Actuators;
using Unity.MLAgents.Policies;
using Unity.MLAgents.Sensors;
using UnityEngine;

namespace Unity.MLAgents
{
    public sealed class Academy
    {
        public static Academy Instance { get; } = new Academy();

        public bool IsCommunicatorOn { get; set; }

        internal List<Agent> Agents { get; } = new List<Agent>();

        /// <summary>All agents observe; then all decide; then all act.</summary>
        public void EnvironmentStep()
        {
            Agents.ForEach(agent => agent.SendInfo());
            Agents.ForEach(agent => agent.DecideAction());
            Agents.ForEach(agent => agent.AgentStep());
        }
    }

    public class Agent : MonoBehaviour, IActionReceiver
    {
        internal List<ISensor> sensors = new List<ISensor>();
        internal VectorSensor collectObservationsSensor;

        BehaviorParameters _parameters;
        ActionBuffers _actions;
        bool _requested;

        public int CompletedEpisodes { get; private set; }

        public void RequestDecision() => _requested = true;

        public void EndEpisode()
        {
            CompletedEpisodes++;
            OnEpisodeBegin();
        }

        public virtual void OnEpisodeBegin()
        {
        }

        public virtual void CollectObservations(VectorSensor sensor)
        {
        }

        public virtual void WriteDiscreteActionMask(IDiscreteActionMask actionMask)
        {
        }

        public virtual void Heuristic(in ActionBuffers actionsOut)
        {
        }

        public virtual void OnActionReceived(ActionBuffers actions)
        {
        }

        public ReadOnlyCollection<float> GetObservations() => collectObservationsSensor.GetObservations();

        public ReadOnlyCollection<float> GetStackedObservations() => throw new NullReferenceException();

        protected virtual void OnEnable()
        {
            _parameters = GetComponent<BehaviorParameters>();
            foreach (SensorComponent component in GetComponents<SensorComponent>())
            {
                sensors.AddRange(component.CreateSensors());
            }
            if (_parameters.BrainParameters.VectorObservationSize > 0)
            {
                collectObservationsSensor = new VectorSensor(_parameters.BrainParameters.VectorObservationSize);
                sensors.Add(collectObservationsSensor);
            }
            sensors.Sort((one, other) => string.CompareOrdinal(one.GetName(), other.GetName()));
            _actions = new ActionBuffers(_parameters.BrainParameters.ActionSpec);
            Academy.Instance.Agents.Add(this);
            OnEpisodeBegin();
        }

        protected virtual void OnDisable() => Academy.Instance.Agents.Remove(this);

        internal void SendInfo()
        {
            if (_requested)
            {
                collectObservationsSensor?.Clear();
                CollectObservations(collectObservationsSensor);
            }
        }

        internal void DecideAction()
        {
            if (_requested && _parameters.BehaviorType == BehaviorType.HeuristicOnly)
            {
                Heuristic(_actions);
            }
        }

        internal void AgentStep()
        {
            if (_requested)
            {
                _requested = false;
                OnActionReceived(_actions);
            }
        }
    }
}

namespace Unity.MLAgents.Actuators
{
    public interface IActionReceiver
    {
        void OnActionReceived(ActionBuffers actionBuffers);

        void WriteDiscreteActionMask(IDiscreteActionMask actionMask);
    }

    public interface IDiscreteActionMask
    {
        void SetActionEnabled(int branch, int actionIndex, bool isEnabled);
    }

    public abstract class ActuatorComponent : MonoBehaviour
    {
    }

    public struct ActionSpec
    {
        public int[] BranchSizes;

        public ActionSpec(int numContinuousActions = 0, int[] discreteBranchSizes = null)
        {
            NumContinuousActions = numContinuousActions;
            BranchSizes = discreteBranchSizes;
        }

        public static ActionSpec MakeDiscrete(params int[] branchSizes) => new ActionSpec(0, branchSizes);

        public int NumContinuousActions { get; set; }

        public int NumDiscreteActions => BranchSizes == null ? 0 : BranchSizes.Length;
    }

    public readonly struct ActionSegment<T> where T : struct
    {
        public readonly T[] Array;

        public ActionSegment(T[] array)
        {
            Array = array;
        }

        public int Length => Array == null ? 0 : Array.Length;

        public T this[int index]
        {
            get { return Array[index]; }
            set { Array[index] = value; }
        }
    }

    public readonly struct ActionBuffers
    {
        public ActionBuffers(ActionSpec spec)
        {
            ContinuousActions = new ActionSegment<float>(new float[spec.NumContinuousActions]);
            DiscreteActions = new ActionSegment<int>(new int[spec.NumDiscreteActions]);
        }

        public ActionSegment<float> ContinuousActions { get; }

        public ActionSegment<int> DiscreteActions { get; }
    }
}

namespace Unity.MLAgents.Policies
{
    public enum BehaviorType
    {
        Default,
        HeuristicOnly,
        InferenceOnly,
    }

    public enum ObservableAttributeOptions
    {
        Ignore,
        ExcludeInherited,
        ExamineAll,
    }

    public class BehaviorParameters : MonoBehaviour
    {
        public BrainParameters BrainParameters { get; } = new BrainParameters();

        public string BehaviorName { get; set; }

        public BehaviorType BehaviorType { get; set; }

        public bool UseChildSensors { get; set; }

        public ObservableAttributeOptions ObservableAttributeHandling { get; set; }
    }

    public class BrainParameters
    {
        public int VectorObservationSize;
        public int NumStackedVectorObservations = 1;

        public ActionSpec ActionSpec { get; set; }
    }
}

namespace Unity.MLAgents.Sensors
{
    public struct InplaceArray<T> where T : struct
    {
        readonly T[] _entries;

        public InplaceArray(params T[] entries)
        {
            _entries = entries;
        }

        public int Length => _entries.Length;

        public T this[int index] => _entries[index];
    }

    public struct ObservationSpec
    {
        public ObservationSpec(params int[] shape)
        {
            Shape = new InplaceArray<int>(shape);
        }

        public InplaceArray<int> Shape { get; }
    }

    public interface ISensor
    {
        ObservationSpec GetObservationSpec();

        int Write(ObservationWriter writer);

        string GetName();
    }

    public abstract class SensorComponent : MonoBehaviour
    {
        public abstract ISensor[] CreateSensors();
    }

    public class ObservationWriter
    {
        IList<float> _data;
        int _offset;

        public float this[int index]
        {
            set { _data[index + _offset] = value; }
        }

        internal void SetTarget(IList<float> data, ObservationSpec observationSpec, int offset)
        {
            _data = data;
            _offset = offset;
        }

        public void AddList(IList<float> data, int writeOffset = 0)
        {
            for (int i = 0; i < data.Count; i++)
            {
                _data[i + writeOffset + _offset] = data[i];
            }
        }
    }

    public class VectorSensor : ISensor
    {
        readonly List<float> _observations = new List<float>();
        readonly int _size;

        public VectorSensor(int observationSize)
        {
            _size = observationSize;
        }

        public void AddObservation(float observation) => _observations.Add(observation);

        public void AddOneHotObservation(int observation, int range) =>
            _observations.AddRange(Enumerable.Range(0, range).Select(index => index == observation ? 1f : 0f));

        public ObservationSpec GetObservationSpec() => new ObservationSpec(_size);

        public string GetName() => "VectorSensor_size" + _size;

        public int Write(ObservationWriter writer)
        {
            writer.AddList(_observations);
            return _size;
        }

        internal void Clear() => _observations.Clear();

        internal ReadOnlyCollection<float> GetObservations() => _observations.AsReadOnly();
    }
}
