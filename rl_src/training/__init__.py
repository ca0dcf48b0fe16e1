"""Training a policy with Ray RLlib (new API stack, torch) on a Unity build.

Where to look, in the order of the data:

- `config`, `presets`: what was asked for, and what follows from it for the behavior at hand
- `scenes`: the running builds, side by side
- `trajectories`, `env_runner`: decisions of all agents become RLlib episodes
- `train_batch`, `learner`: episodes become advantages, advantages become updates (PPO)
- `network`, `action_distribution`, `rl_module`: the policy and the value function
- `best`, `progress`, `checkpoint`, `onnx_export`: what is kept
- `trainer`: the loop, `train()`
- `errors`: everything that can end a training, with its remedy
"""
