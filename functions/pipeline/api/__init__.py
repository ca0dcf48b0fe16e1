"""What the two REST APIs do: handlers parse and map, the work is here.

- `problems`: errors as answers (problem+json)
- `bodies`: what a caller sent, within a limit
- `proxy`: the resolver both control handlers share
- `runs`, `uploads`, `policies`: the control API
- `predictor`: the predict API
"""
