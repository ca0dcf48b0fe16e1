"""The notebooks as they lie in docs/notebooks; `make test-notebooks` executes them."""

import ast
import base64
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs/notebooks"
NAMES = ("unity_rl", "mlagents_yaml")
DISTRIBUTIONS = {"IPython": "ipython", "sagemaker": "sagemaker-core", "yaml": "pyyaml"}
"""Of modules that are called otherwise than what brings them."""
LONGEST_CELL, CODE_CELLS_IN_A_ROW = 30, 3


def read(name: str) -> dict[str, Any]:
    notebook: dict[str, Any] = json.loads((FOLDER / f"{name}.ipynb").read_text())
    return notebook


def code_cells(name: str) -> list[dict[str, Any]]:
    return [cell for cell in read(name)["cells"] if cell["cell_type"] == "code"]


def source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def test_there_is_no_other_notebook():
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_format_is_4_5(name: str):
    notebook = read(name)
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[a-zA-Z0-9-_]{1,64}", one) for one in ids)
    assert source(notebook["cells"][0]).startswith("# ")


@pytest.mark.parametrize("name", NAMES)
def test_what_is_imported_is_installed_with_the_notebooks(name: str):
    locked = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements/notebooks.txt").read_text(), re.MULTILINE))
    trees = [ast.parse(source(cell)) for cell in code_cells(name)]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    modules = {module.partition(".")[0] for module in imported} - sys.stdlib_module_names
    assert {DISTRIBUTIONS.get(module, module) for module in modules} - locked == {"gamedojo"}


@pytest.mark.parametrize("name", NAMES)
def test_it_reads_as_a_tutorial(name: str):
    kinds = "".join(cell["cell_type"][0] for cell in read(name)["cells"])
    assert kinds[0] == "m"
    assert "c" * (CODE_CELLS_IN_A_ROW + 1) not in kinds, "words before code"
    assert max(len(cell["source"]) for cell in code_cells(name)) <= LONGEST_CELL


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str):
    words = "\n".join(source(cell) for cell in read(name)["cells"] if cell["cell_type"] == "markdown")
    targets = re.findall(r"\]\(([^)#]+)\)", words)
    assert len(targets) >= 2
    assert [target for target in targets if not (FOLDER / target).exists()] == []


@pytest.mark.parametrize("name", NAMES)
def test_it_was_executed_whole_and_shows_figures(name: str):
    cells = code_cells(name)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} <= {"stream", "display_data", "execute_result"}
    assert not [output for output in outputs if output.get("name") == "stderr"]
    pictures = ["".join(output["data"]["image/png"]) for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) >= 2
    assert all(base64.b64decode(picture).startswith(b"\x89PNG") for picture in pictures)


@pytest.mark.parametrize("name", NAMES)
def test_no_output_tells_of_the_machine_that_made_it(name: str):
    outputs = json.dumps([cell["outputs"] for cell in code_cells(name)])
    outputs = re.sub(r'"image/png": "[^"]*"', "", outputs)
    found = re.findall(r"/home/|/root|/tmp/|/Users/|127\.0\.0\.1|localhost|x-api-key|:\d{4,5}/", outputs)
    assert found == []
    assert str(ROOT) not in outputs
