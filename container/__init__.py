"""The entry points of the two images, and the sole reader of /opt/ml.

`train` and `evaluate` (training image) and `serve` (inference image) are what SageMaker starts; each calls one
function: `training_job.main`, `evaluation_job.main`, `endpoint.main`.
"""
