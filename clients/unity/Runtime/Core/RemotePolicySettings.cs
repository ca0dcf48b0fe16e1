using System;
using System.Text.RegularExpressions;

namespace Gamedojo
{
    /// <summary>What becomes of a request while as many as are allowed are under way.</summary>
    public enum WhenFull
    {
        /// <summary>It waits for its turn. One may wait: one that waits already is refused for it. Fits games.</summary>
        NewestWins,

        /// <summary>It is refused at once.</summary>
        Refuse,
    }

    /// <summary>Where a policy is asked, and how patiently.</summary>
    public sealed class RemotePolicySettings
    {
        // The API's own rule for names (functions/pipeline/contracts/base.py).
        static readonly Regex PolicyName = new Regex("^[a-z0-9](-?[a-z0-9]){0,39}\\z", RegexOptions.CultureInvariant);

        /// <summary>The predict API with its stage, for example https://abc.execute-api.us-east-1.amazonaws.com/prod.</summary>
        public string Url { get; set; }

        /// <summary>The policy's name.</summary>
        public string Policy { get; set; }

        /// <summary>A key of the predict API. One of the control API must never ship in a game.</summary>
        public string ApiKey { get; set; }

        /// <summary>Needed only when the policy has several behaviors.</summary>
        public string Behavior { get; set; }

        /// <summary>True for the likeliest action, false to sample.</summary>
        public bool Deterministic { get; set; } = true;

        /// <summary>The longest that one request may take, waiting and retries included.</summary>
        public TimeSpan Timeout { get; set; } = TimeSpan.FromSeconds(1);

        /// <summary>Requests on the wire at once; so many connections are kept.</summary>
        public int MaxInFlight { get; set; } = 2;

        /// <summary>What becomes of a request above that.</summary>
        public WhenFull WhenFull { get; set; } = WhenFull.NewestWins;

        /// <summary>Further tries after a broken connection, 429, 503 or 504, as far as the time-out lets them.</summary>
        public int MaxRetries { get; set; } = 2;

        /// <summary>The action to take while there is no answer for passing reasons; null has these thrown.</summary>
        public Func<Observation, PolicyAction> Fallback { get; set; }

        /// <exception cref="InvalidInputException">Names the setting, and what would be right.</exception>
        internal Uri Check()
        {
            Uri url;
            bool known = Uri.TryCreate(Url, UriKind.Absolute, out url) && (url.Scheme == "https" || url.Scheme == "http");
            Require(known, "Url", Url, "an address that begins with https:// or http://");
            Require(url.Query == "" && url.Fragment == "", "Url", Url, "an address without ? and #");
            bool named = Policy != null && PolicyName.IsMatch(Policy);
            Require(named, "Policy", Policy, "lower-case letters, digits and single hyphens");
            Require(ApiKey == null || IsHeaderText(ApiKey), "ApiKey", "(not shown)", "a key's visible ASCII characters");
            Require(Timeout > TimeSpan.Zero && Timeout <= TimeSpan.FromMinutes(10), "Timeout", Timeout, "up to ten minutes");
            Require(MaxInFlight >= 1, "MaxInFlight", MaxInFlight, "1 or more");
            Require(MaxRetries >= 0, "MaxRetries", MaxRetries, "0 or more");
            return new Uri(url.AbsoluteUri.TrimEnd('/') + "/policies/" + Policy + "/predict");
        }

        static bool IsHeaderText(string text)
        {
            foreach (char one in text)
            {
                if (one <= ' ' || one > '~')
                {
                    return false;
                }
            }
            return text.Length > 0;
        }

        static void Require(bool right, string setting, object given, string wanted)
        {
            if (!right)
            {
                throw new InvalidInputException("The setting " + setting + " is '" + given + "'; it should be " + wanted + ".");
            }
        }
    }
}
