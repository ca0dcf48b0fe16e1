"""What the two REST APIs do: handlers parse and map, the work is here.

- `problems`: errors as answers (problem+json)
- `proxy`: the resolver both control handlers share
- `runs`, `uploads`, `policies`: the control API
- `predictor`: the predict API
"""
