using System.Collections.Generic;
using Gamedojo.Unity;
using Unity.MLAgents.Actuators;
using Unity.MLAgents.Policies;
using UnityEngine;

/// <summary>
/// Put it on an empty object beside a Remote Policy whose policy is <c>basic</c>, and press play: it makes the walkers, and
/// one request a step asks for all of them.
/// </summary>
[RequireComponent(typeof(RemotePolicyBehaviour))]
public sealed class LineWorld : MonoBehaviour
{
    [SerializeField] int agents = 4;

    readonly List<LineWalker> _walkers = new List<LineWalker>();

    public IReadOnlyList<LineWalker> Walkers => _walkers;

    void Start()
    {
        for (int i = 0; i < agents; i++)
        {
            var line = new GameObject("Walker " + i);
            line.SetActive(false);  // the agent is enabled once it knows what it is
            var parameters = line.AddComponent<BehaviorParameters>();
            parameters.BehaviorName = "Basic";
            parameters.BrainParameters.VectorObservationSize = 0;
            parameters.BrainParameters.ActionSpec = ActionSpec.MakeDiscrete(3);
            var walker = line.AddComponent<LineWalker>();
            walker.RemotePolicy = GetComponent<RemotePolicyBehaviour>();
            line.SetActive(true);
            _walkers.Add(walker);
        }
    }
}
