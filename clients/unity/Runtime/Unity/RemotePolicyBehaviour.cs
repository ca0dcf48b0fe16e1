using System;
using System.Threading.Tasks;
using UnityEngine;

namespace Gamedojo.Unity
{
    /// <summary>How requests leave the game.</summary>
    public enum Transport
    {
        /// <summary>UnityWebRequest in a browser, System.Net.Http elsewhere.</summary>
        Automatic,
        HttpClient,
        UnityWebRequest,
    }

    /// <summary>
    /// A policy's address and limits as a component, and the batch of all agents that it is asked for: what they ask for
    /// during a physics step leaves as one request at the step's end, after the Academy has stepped (hence the late order).
    /// </summary>
    [AddComponentMenu("Gamedojo/Remote Policy")]
    [DefaultExecutionOrder(LateOrder)]
    public class RemotePolicyBehaviour : MonoBehaviour
    {
        const int LateOrder = 30000;

        [Tooltip("The predict API with its stage: https://….execute-api.….amazonaws.com/prod")]
        [SerializeField] string url = "";
        [SerializeField] string policy = "";
        [Tooltip("A key of the predict API. Players can read it out of the game: never a key of the control API.")]
        [SerializeField] string apiKey = "";
        [Tooltip("Needed only when the policy has several behaviors.")]
        [SerializeField] string behavior = "";
        [Tooltip("The policy was trained with network.memory: each agent's state goes along.")]
        [SerializeField] bool hasMemory = false;
        [Tooltip("The likeliest action; off: sampled.")]
        [SerializeField] bool deterministic = true;
        [SerializeField] float timeoutSeconds = 1f;
        [Tooltip("An action that was answered longer ago is no longer acted on: the agent's fallback takes its place.")]
        [SerializeField] float staleAfterSeconds = 0.5f;
        [SerializeField] int maxInFlight = 2;
        [SerializeField] Transport transport = Transport.Automatic;

        RemotePolicy _policy;
        DecisionBatcher _batcher;
        UnityClock _clock;
        Type _lastTrouble;

        /// <summary>The policy, for asking it directly; null while this component is disabled.</summary>
        public RemotePolicy Policy => _policy;

        /// <summary>Where agents ask; null while this component is disabled, or when its settings cannot be right.</summary>
        public DecisionBatcher Batcher => _batcher;

        /// <summary>The version that answered last; null before the first answer.</summary>
        public string Version { get; private set; }

        /// <summary>Sets the address from code, for example from a file that is not in the repository. Connects anew.</summary>
        public void Connect(string newUrl, string newPolicy, string newApiKey)
        {
            url = newUrl;
            policy = newPolicy;
            apiKey = newApiKey;
            if (isActiveAndEnabled)
            {
                OnDisable();
                OnEnable();
            }
        }

        /// <summary>Sends what the agents have asked for. Called by itself in each physics step.</summary>
        public Task FlushAsync() => _batcher == null ? Task.CompletedTask : _batcher.FlushAsync();

        protected virtual void OnEnable()
        {
            if (url == "" && policy == "")
            {
                return;  // not connected yet
            }
            try
            {
                Connect(Settings());
            }
            catch (InvalidInputException error)
            {
                Debug.LogError("Gamedojo: " + error.Message, this);
            }
        }

        protected virtual void OnDisable()
        {
            _policy?.Dispose();
            _policy = null;
            _batcher = null;
            _clock = null;
        }

        protected virtual void Update() => _clock?.Tick();

        protected virtual void FixedUpdate()
        {
            _clock?.Tick();
            _ = FlushAsync();
        }

        void Connect(RemotePolicySettings settings)
        {
            IClock clock;
            if (ByUnityWebRequest())
            {
                clock = _clock = new UnityClock();
                _policy = new RemotePolicy(settings, new UnityWebRequestTransport(), clock);
            }
            else
            {
                clock = new SystemClock();
                _policy = new RemotePolicy(settings);
            }
            _batcher = new DecisionBatcher(_policy, clock, TimeSpan.FromSeconds(staleAfterSeconds), hasMemory);
            _batcher.Failed += Tell;
            _batcher.Answered += Remember;
        }

        RemotePolicySettings Settings() => new RemotePolicySettings
        {
            Url = url,
            Policy = policy,
            ApiKey = apiKey == "" ? null : apiKey,
            Behavior = behavior,
            Deterministic = deterministic,
            Timeout = TimeSpan.FromSeconds(timeoutSeconds),
            MaxInFlight = maxInFlight,
        };

        bool ByUnityWebRequest()
        {
            bool inBrowser = Application.platform == RuntimePlatform.WebGLPlayer;
            return transport == Transport.UnityWebRequest || (transport == Transport.Automatic && inBrowser);
        }

        /// <summary>Each kind of trouble is told once until an answer comes: a game asks many times a second.</summary>
        void Tell(GamedojoException error)
        {
            // A newer request took its place, or what the pause is for was told already.
            bool expected = error is OverloadedException || error is PausedException;
            if (expected || error.GetType() == _lastTrouble)
            {
                return;
            }
            _lastTrouble = error.GetType();
            string text = "Gamedojo: " + error.GetType().Name + ": " + error.Message;
            if (error.IsTransient)
            {
                Debug.LogWarning(text, this);
            }
            else
            {
                Debug.LogError(text, this);
            }
        }

        void Remember(Prediction prediction)
        {
            _lastTrouble = null;
            Version = prediction.Version;
        }
    }
}
