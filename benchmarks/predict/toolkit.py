"""The SageMaker inference toolkit with its default handlers: `toolkit.py PORT FOLDER SHAPE`.

`sagemaker_inference.model_server` starts multi-model-server (Java), which starts a Python worker. As a user of it
does, we give it a model's folder with `code/inference.py` in it. Its configuration goes into this process's folder
instead of /etc.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]

INFERENCE = """
import sys
from pathlib import Path

sys.path.insert(0, {root!r})
from benchmarks.predict.contestant import act_with_onnx, session_of


def model_fn(model_dir):
    return session_of(Path(model_dir))


def predict_fn(data, model):
    actions = act_with_onnx(model, data)
    return [one + other for one, other in zip(actions["continuous"], actions["discrete"])]
"""


def main() -> None:
    port, folder, _ = sys.argv[1:]
    here = Path.cwd()
    # without our manifest.json: multi-model-server would take it for one of its own
    shutil.copytree(Path(folder) / "policies", here / "ml" / "model" / "policies")
    code = here / "ml" / "model" / "code"
    code.mkdir()
    (code / "inference.py").write_text(INFERENCE.format(root=str(ROOT)))
    (here / "tmp").mkdir()
    os.environ |= {
        "SAGEMAKER_BASE_DIR": str(here / "ml"),
        "SAGEMAKER_BIND_TO_PORT": port,
        "SAGEMAKER_MODEL_SERVER_WORKERS": "1",
        "TMPDIR": str(here / "tmp"),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    tempfile.tempdir = None
    from sagemaker_inference import model_server

    model_server.MMS_CONFIG_FILE = str(here / "mms.properties")
    model_server.start_model_server()


if __name__ == "__main__":
    main()
