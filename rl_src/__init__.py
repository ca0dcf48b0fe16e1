"""What plays, learns, judges and serves: everything that jobs and endpoints run."""

import os

# ONNX Runtime's wheels tell their maker of their use, and name the machine when imported, unless this is set first.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
