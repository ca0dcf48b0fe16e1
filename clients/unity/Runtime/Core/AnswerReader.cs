using System;
using System.Collections.Generic;
using System.Globalization;
using System.Text;

namespace Gamedojo
{
    /// <summary>Reads the API's answers: predictions, and errors as exceptions.</summary>
    internal static class AnswerReader
    {
        const int ShownCharacters = 200;

        /// <summary>Of an HTTP date: today's, and the two old ones (RFC 9110, 5.6.7).</summary>
        static readonly string[] DateForms =
        {
            "r", "dddd, dd-MMM-yy HH:mm:ss 'GMT'", "ddd MMM d HH:mm:ss yyyy",
        };

        /// <exception cref="UnexpectedAnswerException">Not a prediction for this many agents.</exception>
        public static Prediction Prediction(HttpAnswer answer, int agents)
        {
            try
            {
                Dictionary<string, object> document = Object(JsonReader.Read(answer.Body), "the answer");
                List<object> rows = Rows(document, "actions", agents);
                List<object> states = document.ContainsKey("state") ? Rows(document, "state", agents) : null;
                var actions = new List<PolicyAction>(agents);
                for (int agent = 0; agent < agents; agent++)
                {
                    string state = states == null ? null : State(states[agent]);
                    actions.Add(Action(Object(rows[agent], "an action"), state));
                }
                string version = Text(document, "version");
                return new Prediction(Text(document, "policy"), version, Text(document, "behavior"), actions);
            }
            catch (FormatException error)
            {
                throw new UnexpectedAnswerException(
                    "The answer is no prediction: " + error.Message + " It begins: " + Beginning(answer.Body) +
                    " Check that the URL is a gamedojo predict API, with its stage.", error);
            }
        }

        /// <summary>
        /// The error that an answer tells. API Gateway's own (a wrong key, throttling) have a message and no code; a body
        /// that is no JSON is passed over.
        /// </summary>
        public static ApiException Error(HttpAnswer answer)
        {
            Dictionary<string, object> document = Document(answer.Body);
            var problem = new Problem
            {
                Status = answer.Status,
                Code = Given(document, "code") ?? "Http" + answer.Status,
                Detail = Given(document, "detail") ?? Given(document, "message") ?? Given(document, "title")
                    ?? "An answer without an explanation",
                Remedy = Given(document, "remedy") ?? Remedy(answer.Status),
                Errors = Fields(document),
                RetryAfter = Pause(answer),
            };
            switch (problem.Code)
            {
                case "PolicyNotFound":
                    return new PolicyNotFoundException(problem);
                case "PolicyAsleep":
                    return new PolicyAsleepException(problem);
                case "StaleState":
                    return new StaleStateException(problem);
            }
            switch (answer.Status)
            {
                case 400:
                case 413:
                case 415:
                case 422:
                    return new RequestRefusedException(problem);
                case 401:
                case 403:
                    return new ApiKeyException(problem);
                case 429:
                    return new ThrottledException(problem);
                case 502:
                    return new ModelFailedException(problem);
                case 503:
                case 504:
                    return new ServiceUnavailableException(problem);
                default:
                    return new ApiException(problem);
            }
        }

        static List<object> Rows(Dictionary<string, object> document, string name, int agents)
        {
            List<object> rows = List(document, name);
            if (rows.Count != agents)
            {
                throw new FormatException("the list '" + name + "' has " + rows.Count + " entries for " + agents + " agents.");
            }
            return rows;
        }

        static string State(object value)
        {
            if (value == null || value is string)
            {
                return (string)value;
            }
            throw new FormatException("'state' holds something else than texts.");
        }

        static PolicyAction Action(Dictionary<string, object> action, string state)
        {
            List<object> continuous = List(action, "continuous");
            List<object> discrete = List(action, "discrete");
            var values = new float[continuous.Count];
            for (int i = 0; i < values.Length; i++)
            {
                values[i] = Number(continuous[i]);
            }
            var choices = new int[discrete.Count];
            for (int i = 0; i < choices.Length; i++)
            {
                choices[i] = Choice(discrete[i]);
            }
            return new PolicyAction(values, choices, state);
        }

        static float Number(object value)
        {
            bool known = value is long || value is double;
            float number = known ? Convert.ToSingle(value, CultureInfo.InvariantCulture) : float.NaN;
            if (float.IsNaN(number) || float.IsInfinity(number))
            {
                throw new FormatException("'continuous' holds something else than 32-bit numbers.");
            }
            return number;
        }

        static int Choice(object value)
        {
            if (value is long && (long)value >= 0 && (long)value <= int.MaxValue)
            {
                return (int)(long)value;
            }
            throw new FormatException("'discrete' holds something else than choices.");
        }

        static Dictionary<string, object> Object(object value, string what) =>
            value as Dictionary<string, object> ?? throw new FormatException(what + " is no object.");

        static List<object> List(Dictionary<string, object> document, string name)
        {
            object value;
            document.TryGetValue(name, out value);
            return value as List<object> ?? throw new FormatException("it has no list '" + name + "'.");
        }

        static string Text(Dictionary<string, object> document, string name) =>
            Given(document, name) ?? throw new FormatException("it has no text '" + name + "'.");

        static string Given(Dictionary<string, object> document, string name)
        {
            object value;
            document.TryGetValue(name, out value);
            var text = value as string;
            return string.IsNullOrEmpty(text) ? null : text;
        }

        static Dictionary<string, object> Document(byte[] body)
        {
            try
            {
                return JsonReader.Read(body) as Dictionary<string, object> ?? new Dictionary<string, object>();
            }
            catch (FormatException)
            {
                return new Dictionary<string, object>();
            }
        }

        static IReadOnlyList<FieldProblem> Fields(Dictionary<string, object> document)
        {
            var fields = new List<FieldProblem>();
            object errors;
            document.TryGetValue("errors", out errors);
            foreach (object entry in errors as List<object> ?? new List<object>())
            {
                if (entry is Dictionary<string, object> field)
                {
                    fields.Add(new FieldProblem(Given(field, "field") ?? "", Given(field, "message") ?? ""));
                }
            }
            return fields;
        }

        static string Remedy(int status)
        {
            switch (status)
            {
                case 401:
                case 403:
                    return "Check the API key: the predict API and the control API have keys of their own.";
                case 429:
                    return "Ask less often, or ask for a usage plan with a higher rate.";
                default:
                    return "";
            }
        }

        /// <summary>
        /// Retry-After: the API sends seconds; whoever stands in between may send a date, which is one by the server's
        /// clock where it tells that.
        /// </summary>
        static TimeSpan? Pause(HttpAnswer answer)
        {
            double seconds;
            if (!double.TryParse(
                answer.RetryAfter, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out seconds))
            {
                DateTimeOffset? until = Date(answer.RetryAfter);
                if (until == null)
                {
                    return null;
                }
                seconds = Math.Max(0, (until.Value - (Date(answer.Date) ?? DateTimeOffset.UtcNow)).TotalSeconds);
            }
            return seconds < TimeSpan.FromDays(1).TotalSeconds ? TimeSpan.FromSeconds(seconds) : (TimeSpan?)null;
        }

        static DateTimeOffset? Date(string text)
        {
            const DateTimeStyles Styles = DateTimeStyles.AssumeUniversal | DateTimeStyles.AllowInnerWhite;
            DateTimeOffset found;
            bool known = DateTimeOffset.TryParseExact(text, DateForms, CultureInfo.InvariantCulture, Styles, out found);
            return known ? found : (DateTimeOffset?)null;
        }

        static string Beginning(byte[] body)
        {
            string text = Encoding.UTF8.GetString(body, 0, Math.Min(body.Length, ShownCharacters));
            return "'" + text.Replace('\n', ' ') + "'.";
        }
    }
}
