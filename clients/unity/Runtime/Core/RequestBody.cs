using System.Collections.Generic;

namespace Gamedojo
{
    /// <summary>The body of <c>POST /policies/{policy}/predict</c>: always a batch, of one agent or of many.</summary>
    internal static class RequestBody
    {
        /// <summary>The published limit of one request (functions/pipeline/api/predictor.py).</summary>
        public const int MostBytes = 3 * 1024 * 1024;

        /// <exception cref="InvalidInputException">
        /// No agents, agents that differ in their sensors, a number that is not finite, masks of several sizes, too large.
        /// </exception>
        public static byte[] Write(RemotePolicySettings settings, IReadOnlyList<Observation> agents)
        {
            Check(agents);
            var json = new JsonWriter();
            json.BeginObject();
            if (!string.IsNullOrEmpty(settings.Behavior))
            {
                json.Name("behavior");
                json.String(settings.Behavior);
            }
            json.Name("observations");
            WriteSensors(json, agents);
            WriteMasks(json, agents);
            json.Name("deterministic");
            json.Bool(settings.Deterministic);
            WriteStates(json, agents);
            json.EndObject();
            byte[] body = json.ToArray();
            if (body.Length > MostBytes)
            {
                throw new InvalidInputException(
                    "The request for " + agents.Count + " agents has " + body.Length + " bytes; at most " + MostBytes +
                    " are taken. Ask for fewer agents at once.");
            }
            return body;
        }

        /// <exception cref="InvalidInputException">A number is not finite.</exception>
        public static void CheckNumbers(Observation agent)
        {
            foreach (Observation.Sensor sensor in agent.Sensors)
            {
                CheckNumbers(sensor);
            }
        }

        static void Check(IReadOnlyList<Observation> agents)
        {
            if (agents == null || agents.Count == 0)
            {
                throw new InvalidInputException("A request needs the observation of one agent at least.");
            }
            for (int agent = 0; agent < agents.Count; agent++)
            {
                CheckAgent(agents[0], agents[agent], agent);
            }
        }

        static void CheckAgent(Observation first, Observation one, int agent)
        {
            if (one == null || one.Sensors.Count == 0)
            {
                throw new InvalidInputException("Agent " + agent + " observes nothing.");
            }
            if (one.Sensors.Count != first.Sensors.Count)
            {
                throw new InvalidInputException(
                    "Agent " + agent + " has " + one.Sensors.Count + " sensors, the first has " + first.Sensors.Count +
                    ". All agents of a request have the same.");
            }
            for (int i = 0; i < first.Sensors.Count; i++)
            {
                CheckSensor(first.Sensors[i], one.Sensors[i], agent);
            }
        }

        static void CheckSensor(Observation.Sensor first, Observation.Sensor one, int agent)
        {
            string wanted = Describe(first);
            string given = Describe(one);
            if (wanted != given)
            {
                throw new InvalidInputException(
                    "Agent " + agent + " has the sensor " + given + " where the first has " + wanted +
                    ". All agents of a request have the same, in one order.");
            }
            CheckNumbers(one);
        }

        static void CheckNumbers(Observation.Sensor sensor)
        {
            for (int i = 0; i < sensor.Values.Length; i++)
            {
                if (float.IsNaN(sensor.Values[i]) || float.IsInfinity(sensor.Values[i]))
                {
                    throw new InvalidInputException(
                        "Sensor " + Describe(sensor) + ": number " + i + " is " + NonFinite(sensor.Values[i]) +
                        ". Look for a division by zero in what the agent observes.");
                }
            }
        }

        static string NonFinite(float value) => float.IsNaN(value) ? "NaN" : value > 0 ? "infinite" : "negative infinite";

        static string Describe(Observation.Sensor sensor) =>
            (sensor.Name == null ? "" : "'" + sensor.Name + "' ") + Observation.Text(sensor.Shape);

        static void WriteSensors(JsonWriter json, IReadOnlyList<Observation> agents)
        {
            bool named = agents[0].Sensors[0].Name != null;
            if (named)
            {
                json.BeginObject();
            }
            else
            {
                json.BeginArray();
            }
            for (int i = 0; i < agents[0].Sensors.Count; i++)
            {
                if (named)
                {
                    json.Name(agents[0].Sensors[i].Name);
                }
                json.BeginArray();
                for (int agent = 0; agent < agents.Count; agent++)
                {
                    Observation.Sensor sensor = agents[agent].Sensors[i];
                    int at = 0;
                    WriteAxis(json, sensor, 0, ref at);
                }
                json.EndArray();
            }
            if (named)
            {
                json.EndObject();
            }
            else
            {
                json.EndArray();
            }
        }

        static void WriteAxis(JsonWriter json, Observation.Sensor sensor, int axis, ref int at)
        {
            json.BeginArray();
            for (int i = 0; i < sensor.Shape[axis]; i++)
            {
                if (axis == sensor.Shape.Length - 1)
                {
                    json.Number(sensor.Values[at++]);
                }
                else
                {
                    WriteAxis(json, sensor, axis + 1, ref at);
                }
            }
            json.EndArray();
        }

        static void WriteMasks(JsonWriter json, IReadOnlyList<Observation> agents)
        {
            int choices = ChoicesMasked(agents);
            if (choices == 0)
            {
                return;
            }
            json.Name("action_masks");
            json.BeginArray();
            for (int agent = 0; agent < agents.Count; agent++)
            {
                json.BeginArray();
                for (int choice = 0; choice < choices; choice++)
                {
                    IReadOnlyList<bool> allowed = agents[agent].AllowedActions;
                    json.Integer(allowed == null || allowed[choice] ? 1 : 0);
                }
                json.EndArray();
            }
            json.EndArray();
        }

        /// <summary>Without an agent that remembers there is none: a policy without memory is asked without.</summary>
        static void WriteStates(JsonWriter json, IReadOnlyList<Observation> agents)
        {
            bool wanted = false;
            for (int agent = 0; agent < agents.Count; agent++)
            {
                wanted |= agents[agent].Remembers;
            }
            if (!wanted)
            {
                return;
            }
            json.Name("state");
            json.BeginArray();
            for (int agent = 0; agent < agents.Count; agent++)
            {
                if (agents[agent].State == null)
                {
                    json.Null();
                }
                else
                {
                    json.String(agents[agent].State);
                }
            }
            json.EndArray();
        }

        /// <returns>The entries of a mask; 0 when no agent has one.</returns>
        static int ChoicesMasked(IReadOnlyList<Observation> agents)
        {
            int choices = 0;
            for (int agent = 0; agent < agents.Count; agent++)
            {
                IReadOnlyList<bool> allowed = agents[agent].AllowedActions;
                if (allowed == null)
                {
                    continue;
                }
                if (choices != 0 && allowed.Count != choices)
                {
                    throw new InvalidInputException(
                        "Agent " + agent + " masks " + allowed.Count + " choices, an agent before it " + choices + ".");
                }
                choices = allowed.Count;
            }
            return choices;
        }
    }
}
