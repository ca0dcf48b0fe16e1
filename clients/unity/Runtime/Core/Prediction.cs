using System.Collections.Generic;

namespace Gamedojo
{
    /// <summary>One agent's action.</summary>
    public sealed class PolicyAction
    {
        /// <param name="continuous">Null for none.</param>
        /// <param name="discrete">Null for none.</param>
        public PolicyAction(float[] continuous, int[] discrete) : this(continuous, discrete, null)
        {
        }

        internal PolicyAction(float[] continuous, int[] discrete, string state)
        {
            Continuous = continuous ?? new float[0];
            Discrete = discrete ?? new int[0];
            State = state;
        }

        public float[] Continuous { get; }

        /// <summary>The choice in each branch.</summary>
        public int[] Discrete { get; }

        /// <summary>What the policy remembers of the agent, for its next observation; null unless that was asked for.</summary>
        public string State { get; }
    }

    /// <summary>The answer to a request: an action for each observation, in their order.</summary>
    public sealed class Prediction
    {
        internal Prediction(string policy, string version, string behavior, IReadOnlyList<PolicyAction> actions)
        {
            Policy = policy;
            Version = version;
            Behavior = behavior;
            Actions = actions;
        }

        internal Prediction(string policy, IReadOnlyList<PolicyAction> fallbacks, GamedojoException error)
            : this(policy, null, null, fallbacks)
        {
            Error = error;
        }

        public string Policy { get; }

        /// <summary>The version that answered; null for a fallback.</summary>
        public string Version { get; }

        public string Behavior { get; }

        public IReadOnlyList<PolicyAction> Actions { get; }

        /// <summary>True when the actions are the fallback's; <see cref="Error"/> says why.</summary>
        public bool IsFallback => Error != null;

        /// <summary>Why there was no answer; null if there was one.</summary>
        public GamedojoException Error { get; }
    }
}
