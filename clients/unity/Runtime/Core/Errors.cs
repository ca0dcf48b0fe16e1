using System;
using System.Collections.Generic;

namespace Gamedojo
{
    // GamedojoException
    // ├── InvalidInputException        what was asked for cannot be right; nothing was sent
    // ├── UnexpectedAnswerException    an answer that is not the API's, for example a proxy's HTML page
    // ├── TransientException           the same request may succeed later: a fallback takes its place if there is one
    // │   ├── PredictTimeoutException
    // │   ├── UnreachableException     no connection, or it broke
    // │   ├── OverloadedException      too many requests under way; nothing was sent
    // │   └── PausedException          the service has asked for a pause, or was not there; nothing was sent
    // └── ApiException                 the API's own error answer (problem details, RFC 9457)

    /// <summary>Base of all errors of this package. Its message is for the game's developer.</summary>
    public abstract class GamedojoException : Exception
    {
        protected GamedojoException(string message, Exception cause = null) : base(message, cause)
        {
        }

        /// <summary>True when the same request may succeed later: a fallback action is the right answer for now.</summary>
        public abstract bool IsTransient { get; }
    }

    /// <summary>What was asked for cannot be right; nothing was sent.</summary>
    public sealed class InvalidInputException : GamedojoException
    {
        public InvalidInputException(string message) : base(message)
        {
        }

        public override bool IsTransient => false;
    }

    /// <summary>An answer that is not the API's.</summary>
    public sealed class UnexpectedAnswerException : GamedojoException
    {
        public UnexpectedAnswerException(string message, Exception cause = null) : base(message, cause)
        {
        }

        public override bool IsTransient => false;
    }

    /// <summary>The same request may succeed later.</summary>
    public abstract class TransientException : GamedojoException
    {
        protected TransientException(string message, Exception cause = null) : base(message, cause)
        {
        }

        public sealed override bool IsTransient => true;
    }

    /// <summary>No answer within the time-out, retries included.</summary>
    public sealed class PredictTimeoutException : TransientException
    {
        public PredictTimeoutException(string message) : base(message)
        {
        }
    }

    /// <summary>No connection, or it broke before the answer was whole.</summary>
    public sealed class UnreachableException : TransientException
    {
        public UnreachableException(string message, Exception cause = null) : base(message, cause)
        {
        }
    }

    /// <summary>As many requests as are allowed are under way; nothing was sent.</summary>
    public sealed class OverloadedException : TransientException
    {
        public OverloadedException(string message) : base(message)
        {
        }
    }

    /// <summary>A pause after throttling or a broken connection outlasts this request's time-out; nothing was sent.</summary>
    public sealed class PausedException : TransientException
    {
        public PausedException(string message, GamedojoException cause) : base(message, cause)
        {
        }
    }

    /// <summary>One field that is wrong: its dotted path ("" for the document itself) and what would be right.</summary>
    public sealed class FieldProblem
    {
        public FieldProblem(string field, string message)
        {
            Field = field;
            Message = message;
        }

        public string Field { get; }

        public string Message { get; }
    }

    /// <summary>What an error answer says. <c>Code</c> is stable and for programs.</summary>
    public sealed class Problem
    {
        public int Status { get; set; }

        public string Code { get; set; }

        public string Detail { get; set; }

        /// <summary>What to do about it; may be empty.</summary>
        public string Remedy { get; set; }

        public IReadOnlyList<FieldProblem> Errors { get; set; }

        /// <summary>The pause that the service asks for; null if it asks for none.</summary>
        public TimeSpan? RetryAfter { get; set; }
    }

    /// <summary>The API's error answer, of a status that has no class of its own below.</summary>
    public class ApiException : GamedojoException
    {
        const int FirstServerError = 500;

        public ApiException(Problem problem) : base(Describe(problem))
        {
            Problem = problem;
        }

        public Problem Problem { get; }

        public override bool IsTransient => Problem.Status >= FirstServerError;

        static string Describe(Problem problem)
        {
            string remedy = string.IsNullOrEmpty(problem.Remedy) ? "" : " Remedy: " + problem.Remedy;
            return problem.Detail + " (" + problem.Code + ", HTTP " + problem.Status + ")" + remedy;
        }
    }

    /// <summary>The request does not fit the policy (400, 413, 415, 422): another sensor, another shape, too large.</summary>
    public class RequestRefusedException : ApiException
    {
        public RequestRefusedException(Problem problem) : base(problem)
        {
        }
    }

    /// <summary>An agent's state is of another version of the policy: its memory has to begin anew, with null.</summary>
    public sealed class StaleStateException : RequestRefusedException
    {
        public StaleStateException(Problem problem) : base(problem)
        {
        }
    }

    /// <summary>The API key is missing, wrong, or of the other API (401, 403).</summary>
    public sealed class ApiKeyException : ApiException
    {
        public ApiKeyException(Problem problem) : base(problem)
        {
        }
    }

    /// <summary>No policy of this name is in service (PolicyNotFound).</summary>
    public sealed class PolicyNotFoundException : ApiException
    {
        public PolicyNotFoundException(Problem problem) : base(problem)
        {
        }
    }

    /// <summary>
    /// The policy's idle endpoint was taken down (PolicyAsleep); the control API can wake it, a game cannot.
    /// </summary>
    public sealed class PolicyAsleepException : ApiException
    {
        public PolicyAsleepException(Problem problem) : base(problem)
        {
        }

        public override bool IsTransient => true;
    }

    /// <summary>More requests than the key's usage plan or the service takes (429).</summary>
    public sealed class ThrottledException : ApiException
    {
        public ThrottledException(Problem problem) : base(problem)
        {
        }

        public override bool IsTransient => true;
    }

    /// <summary>The endpoint is starting up, or a service behind the API fails for now (503, 504).</summary>
    public sealed class ServiceUnavailableException : ApiException
    {
        public ServiceUnavailableException(Problem problem) : base(problem)
        {
        }
    }

    /// <summary>The model failed on this request (502).</summary>
    public sealed class ModelFailedException : ApiException
    {
        public ModelFailedException(Problem problem) : base(problem)
        {
        }
    }
}
