using System;
using System.Collections.Generic;

namespace Gamedojo
{
    /// <summary>
    /// What one agent observes: each sensor's numbers, by the sensor's name or in sensor order, and which discrete actions
    /// are allowed. The arrays are read when a request is made of them, and may be filled anew after that.
    /// </summary>
    public sealed class Observation
    {
        internal sealed class Sensor
        {
            public string Name;
            public float[] Values;
            public int[] Shape;
        }

        internal List<Sensor> Sensors { get; } = new List<Sensor>();

        internal IReadOnlyList<bool> AllowedActions { get; private set; }

        internal bool Remembers { get; private set; }

        internal string State { get; private set; }

        /// <summary>An observation of one sensor, by order.</summary>
        public static Observation Of(float[] values, params int[] shape) => new Observation().Add(values, shape);

        /// <summary>
        /// Sets a sensor's numbers by its name, in C order (the last axis varies fastest). A shape that is left out is
        /// that of a vector. Pictures are [channels, height, width].
        /// </summary>
        /// <exception cref="InvalidInputException">The shape holds another number of values, or has an empty axis.</exception>
        public Observation Set(string sensor, float[] values, params int[] shape)
        {
            if (string.IsNullOrEmpty(sensor))
            {
                throw new InvalidInputException("A sensor needs a name; Add takes sensors by their order.");
            }
            Sensor known = Sensors.Find(one => one.Name == sensor);
            if (known == null)
            {
                Put(sensor, values, shape);
            }
            else
            {
                known.Shape = Checked(sensor, values, shape);
                known.Values = values;
            }
            return this;
        }

        /// <summary>Adds the numbers of the next sensor in the policy's order.</summary>
        /// <inheritdoc cref="Set"/>
        public Observation Add(float[] values, params int[] shape)
        {
            Put(null, values, shape);
            return this;
        }

        /// <summary>
        /// Which choices are allowed now: one entry for each choice of each branch, branch after branch. Null allows all.
        /// </summary>
        public Observation Allow(IReadOnlyList<bool> actions)
        {
            AllowedActions = actions;
            return this;
        }

        /// <summary>
        /// For policies with a memory: what the policy remembers of this agent, the <see cref="PolicyAction.State"/> of
        /// its action before; null at an episode's start.
        /// </summary>
        public Observation Remember(string state)
        {
            Remembers = true;
            State = state;
            return this;
        }

        void Put(string name, float[] values, int[] shape)
        {
            int[] whole = Checked(name ?? "number " + Sensors.Count, values, shape);
            if (Sensors.Count > 0 && (Sensors[0].Name == null) != (name == null))
            {
                throw new InvalidInputException("Give all sensors by name (Set), or all by order (Add).");
            }
            Sensors.Add(new Sensor { Name = name, Values = values, Shape = whole });
        }

        static int[] Checked(string name, float[] values, int[] shape)
        {
            if (values == null)
            {
                throw new InvalidInputException("Sensor " + name + " has no values (null).");
            }
            int[] whole = shape == null || shape.Length == 0 ? new[] { values.Length } : shape;
            long size = 1;
            foreach (int axis in whole)
            {
                if (axis < 1)
                {
                    throw new InvalidInputException("Sensor " + name + ": the shape " + Text(whole) + " has an empty axis.");
                }
                size *= axis;
            }
            if (size != values.Length)
            {
                throw new InvalidInputException(
                    "Sensor " + name + ": the shape " + Text(whole) + " holds " + size + " numbers, " + values.Length +
                    " given.");
            }
            return whole;
        }

        internal static string Text(int[] shape) => "[" + string.Join(", ", shape) + "]";
    }
}
