"""Serving ONNX policies over HTTP, with neither ray nor torch.

- `onnx_policy`: one model file, observations in, actions out
- `artifact`: the unpacked model.tar.gz, checked against its manifest
- `codec`: the JSON of `/invocations`
- `app`: the ASGI application; `server`: uvicorn around it
- `errors`: what a caller did wrong
"""
