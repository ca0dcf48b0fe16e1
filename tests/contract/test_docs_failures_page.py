"""docs/failures.md: as the code is, and nothing that ends a run is missing from it."""

import ast
import re
from pathlib import Path

from rl_src.envs.errors import UnityEnvironmentError
from rl_src.training.errors import TrainingError
from tests.docs.failures_page import BY_CONTAINER, page, subclasses

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/failures.md").read_text()


def given_in(folder: str, error: str, argument: int | str) -> set[str]:
    """The literal codes that calls of this error in a folder give."""
    calls = [
        node
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == error
    ]
    by_position = [call.args[argument] for call in calls if isinstance(argument, int) and len(call.args) > argument]
    by_name = [keyword.value for call in calls for keyword in call.keywords if keyword.arg == argument]
    return {node.value for node in (*by_position, *by_name) if isinstance(node, ast.Constant)}


def test_it_is_as_the_code_says():
    assert page() == PAGE, "run `make failures`"


def test_each_code_that_a_container_gives_is_explained():
    given = given_in("container", "ContainerError", 0) | given_in("rl_src/evaluation", "EvaluationError", "code")
    assert given | {"EvaluationFailed", "BuildHostLost"} == set(BY_CONTAINER)


def test_each_code_of_builds_and_trainings_is_on_the_page():
    kinds = (*subclasses(UnityEnvironmentError), *subclasses(TrainingError))
    codes = {kind.__name__.removesuffix("Error") for kind in kinds}
    assert codes <= set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
