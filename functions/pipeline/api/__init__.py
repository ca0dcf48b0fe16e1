"""What the two REST APIs do: handlers parse and map, the work is here.

- `routes`, `codes`: the tables of all routes and of all error codes
- `openapi`, `error_page`, `description`: what the tables say, as documents in docs/ and as answers
- `problems`: errors as answers (problem+json)
- `bodies`: what a caller sent, within a limit
- `cors`: pages in a browser
- `proxy`: the resolver both control handlers share
- `runs`, `metrics`, `uploads`, `policies`, `serving`: the control API
- `prediction`, `predictor`: the predict API, in JSON and in MessagePack
"""
