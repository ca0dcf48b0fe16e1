"""Serving ONNX policies over HTTP, with neither ray nor torch.

From the socket to the model and back:

- `listener`, `server`: the port, taken at once; loading beside it; draining on SIGTERM
- `http_connection`: HTTP/1.1 of one connection, its limits
- `service`, `problems`: the two routes, refusals
- `model`: one invocation from its bytes to its answer, in the event loop or in a thread
- `codec`, `tensors`: JSON and MessagePack, arrays
- `questions`, `state_tokens`: an invocation fitted to the policy's spec; memory that the caller keeps
- `batching`: questions that arrive together are asked together
- `onnx_policy`: one model file, observations in, actions out
- `artifact`: the unpacked model.tar.gz, checked against its manifest
- `metrics`, `cores`: what CloudWatch is told; how many threads
- `errors`: what a caller did wrong
"""
