"""Run by the notebooks' own environment: executes one notebook and writes it with what its cells showed.

.venv-notebooks/bin/python tests/notebooks/execute.py SOURCE TARGET
"""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient


def main(source: Path, target: Path) -> None:
    notebook = nbformat.read(source, as_version=4)
    nbformat.validate(notebook)
    here = {"metadata": {"path": str(source.parent)}}
    # Without record_timing, what is written differs by what was shown only.
    client = NotebookClient(notebook, timeout=400, kernel_name="python3", record_timing=False, resources=here)
    client.execute()
    notebook.metadata = {key: notebook.metadata[key] for key in ("kernelspec", "language_info")}
    notebook.metadata.language_info = {"name": "python", "version": "3.11"}
    nbformat.write(notebook, target)


main(*map(Path, sys.argv[1:]))
