using System;
using System.Collections.Generic;
using System.Reflection;
using Unity.MLAgents;
using Unity.MLAgents.Sensors;

namespace Gamedojo.MLAgents
{
    /// <summary>
    /// Reads all sensors of an agent: rays, grids, cameras, buffers. ML-Agents shows outsiders neither an agent's sensors
    /// (Agent.sensors) nor a way to have them write into an array (ObservationWriter.SetTarget): both are internal, in 2.0
    /// to 4.0, so they are reached by reflection, here and nowhere else. ML-Agents calls both itself, so that code
    /// stripping keeps them. Agents with vector observations alone do without this.
    /// </summary>
    sealed class SensorReader
    {
        delegate void SetTarget(ObservationWriter writer, IList<float> data, ObservationSpec spec, int offset);

        const BindingFlags Internal = BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic;

        readonly ObservationWriter _writer;
        readonly SetTarget _setTarget;
        readonly List<ISensor> _sensors;
        readonly float[][] _values;
        readonly int[][] _shapes;

        /// <exception cref="InvalidInputException">This version of ML-Agents is made otherwise.</exception>
        public SensorReader(Agent agent)
        {
            FieldInfo sensors = typeof(Agent).GetField("sensors", Internal);
            MethodInfo setTarget = typeof(ObservationWriter).GetMethod(
                "SetTarget", Internal, null, new[] { typeof(IList<float>), typeof(ObservationSpec), typeof(int) }, null);
            if (sensors == null || setTarget == null)
            {
                throw new InvalidInputException(
                    "This version of ML-Agents keeps its sensors otherwise than 2.0 to 4.0 do. Override Observe in " +
                    agent.GetType().Name + ".");
            }
            _setTarget = (SetTarget)Delegate.CreateDelegate(typeof(SetTarget), setTarget);
            _writer = (ObservationWriter)Activator.CreateInstance(typeof(ObservationWriter), true);
            _sensors = (List<ISensor>)sensors.GetValue(agent);
            _values = new float[_sensors.Count][];
            _shapes = new int[_sensors.Count][];
            for (int i = 0; i < _sensors.Count; i++)
            {
                _shapes[i] = Shape(_sensors[i]);
                _values[i] = new float[Size(_shapes[i])];
            }
        }

        public void Read(Observation observation)
        {
            for (int i = 0; i < _sensors.Count; i++)
            {
                Array.Clear(_values[i], 0, _values[i].Length);  // a buffer sensor writes only what it holds
                _setTarget(_writer, _values[i], _sensors[i].GetObservationSpec(), 0);
                _sensors[i].Write(_writer);
                observation.Set(_sensors[i].GetName(), _values[i], _shapes[i]);
            }
        }

        static int[] Shape(ISensor sensor)
        {
            ObservationSpec spec = sensor.GetObservationSpec();
            var shape = new int[spec.Shape.Length];
            for (int axis = 0; axis < shape.Length; axis++)
            {
                shape[axis] = spec.Shape[axis];
            }
#if !GAMEDOJO_MLAGENTS_3
            if (shape.Length == 3)
            {
                throw new InvalidInputException(
                    "Sensor '" + sensor.GetName() + "' is a picture of height x width x channels, as ML-Agents before 3.0 " +
                    "has it; policies take channels first. Use ML-Agents 3.0 or newer.");
            }
#endif
            return shape;
        }

        static int Size(int[] shape)
        {
            int size = 1;
            foreach (int axis in shape)
            {
                size *= axis;
            }
            return size;
        }
    }
}
