"""`mlagents-learn` 1.1.0, unmodified, with the ONNX exporter of the torch that it was written for.

Runs in `.venv-peers` and takes `mlagents-learn`'s arguments. From torch 2.9 on, `torch.onnx.export` traces by
torch.export unless it is told otherwise, which needs packages that go with neither onnx 1.15 nor numpy 1.23, both of
which ML-Agents pins. The exporter that ML-Agents means is still there and only asked for here.
"""

# mypy: disable-error-code="import-untyped, import-not-found"

import functools

import torch.onnx

torch.onnx.export = functools.partial(torch.onnx.export, dynamo=False)

from mlagents.trainers.learn import main  # noqa: E402 - after the exporter has been chosen

if __name__ == "__main__":
    main()
