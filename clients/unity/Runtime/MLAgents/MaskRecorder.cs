using System;
using System.Collections.Generic;
using Unity.MLAgents.Actuators;

namespace Gamedojo.MLAgents
{
    /// <summary>Takes an agent's action mask as a list of what is allowed, branch after branch.</summary>
    sealed class MaskRecorder : IDiscreteActionMask
    {
        readonly int[] _starts;
        readonly bool[] _allowed;

        public MaskRecorder(int[] branchSizes)
        {
            _starts = new int[branchSizes.Length];
            int choices = 0;
            for (int branch = 0; branch < branchSizes.Length; branch++)
            {
                _starts[branch] = choices;
                choices += branchSizes[branch];
            }
            _allowed = new bool[choices];
        }

        /// <summary>Null when everything is allowed.</summary>
        public IReadOnlyList<bool> Allowed => Array.IndexOf(_allowed, false) < 0 ? null : _allowed;

        public void Clear()
        {
            for (int choice = 0; choice < _allowed.Length; choice++)
            {
                _allowed[choice] = true;
            }
        }

        /// <summary>False when one of the choices is forbidden or unknown.</summary>
        public bool Allows(int[] choices)
        {
            for (int branch = 0; branch < Math.Min(choices.Length, _starts.Length); branch++)
            {
                int end = branch + 1 < _starts.Length ? _starts[branch + 1] : _allowed.Length;
                int at = _starts[branch] + choices[branch];
                if (at >= end || !_allowed[at])
                {
                    return false;
                }
            }
            return true;
        }

        public void SetActionEnabled(int branch, int actionIndex, bool isEnabled) =>
            _allowed[_starts[branch] + actionIndex] = isEnabled;
    }
}
