"""Training policies with Ray RLlib (new API stack, torch) on Unity builds.

Where to look, in the order of the data:

- `settings`: what was asked for, and what follows from it for the behaviors at hand
- `sampling`: the running builds, side by side; decisions of all agents become RLlib episodes
- `curiosity`, `imitation`, `self_play`: what else there is to learn from than the build's rewards
- `algorithms`: episodes become advantages or replay, and those become updates
- `networks`: the policy and the value function
- `progress`: lines, warnings, limits
- `artifacts`: what is kept
- `behavior_training`: one behavior's policy and all that belongs to it
- `trainer`: the loop, `train()`
- `errors`: everything that can end a training, with its remedy
"""

import os

# A thread of torch's that has nothing to do sleeps. OpenMP's own way is to spin for milliseconds, which takes the core
# from builds, from whoever plays and from other trainings on the machine. It is read once, as torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
