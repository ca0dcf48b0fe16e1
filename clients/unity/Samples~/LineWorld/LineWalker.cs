using Gamedojo;
using Gamedojo.MLAgents;
using Unity.MLAgents.Actuators;

/// <summary>
/// An agent on a line of 20 fields, a small goal near and a large one far: what gamedojo's sample build Basic learns. It
/// asks for a decision in every physics step, and stays where it is while no answer has come.
/// </summary>
public sealed class LineWalker : RemoteAgent
{
    const int Fields = 20;
    const int Start = 10;
    const int SmallGoal = 7;
    const int LargeGoal = 17;

    static readonly int[] Moves = { 0, -1, 1 };

    readonly float[] _oneHot = new float[Fields];

    public int Field { get; private set; }

    public int LargeGoals { get; private set; }

    public int SmallGoals { get; private set; }

    public override void OnEpisodeBegin()
    {
        Field = Start;
    }

    public override void OnActionReceived(ActionBuffers actions)
    {
        Field = System.Math.Min(System.Math.Max(Field + Moves[actions.DiscreteActions[0]], 0), Fields - 1);
        if (Field == LargeGoal)
        {
            LargeGoals++;
            EndEpisode();
        }
        else if (Field == SmallGoal)
        {
            SmallGoals++;
            EndEpisode();
        }
    }

    // The policy was trained with a sensor of this name. Agents with CollectObservations or sensor components need no such
    // override: their sensors are read as they are.
    protected override void Observe(Observation observation)
    {
        System.Array.Clear(_oneHot, 0, Fields);
        _oneHot[Field] = 1f;
        observation.Set("BasicSensor", _oneHot);
    }

    void FixedUpdate()
    {
        RequestDecision();
    }
}
