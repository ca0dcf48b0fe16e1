"""Judging a policy: the exported ONNX files play the build, with neither ray nor torch.

- `rollouts`: episodes of every behavior, played to their ends
- `statistics`: returns as mean, spread and confidence interval
- `parity`: observations met and actions taken, to compare an endpoint with
- `comparison`: the policy in service beside the new one
- `evaluate`: the whole, as the report that the pipeline reads
"""
