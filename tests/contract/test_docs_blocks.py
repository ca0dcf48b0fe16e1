"""What stands in the pages' fences and is not run by `make test-docs`: commands that cannot be, documents, programs."""

import ast
import json
import re
import shlex
import subprocess
from functools import cache

import pytest
from pydantic import BaseModel, ValidationError
from typer.testing import CliRunner

from gamedojo.cli import app
from local.commands import app as local_app
from pipeline.contracts.predict import PredictRequest, PredictResponse
from pipeline.contracts.problem import Problem
from pipeline.contracts.request import RunOptions, TrainingRequest
from pipeline.rules.cost import estimate, usd_per_hour
from pipeline.rules.run_options import read_request, settle
from tests.docs.blocks import REPOSITORY, Block, all_blocks

NOT_RUN = {
    ("CONTRIBUTING.md", "make lint"),
    ("README.md", "make test"),
    ("README.md", "make local"),
    ("README.md", "sam build"),
    ("docs/dashboard.md", "sam deploy"),
    ("docs/deploying.md", "make bootstrap"),
    ("docs/deploying.md", "make preflight"),
    ("docs/deploying.md", "make deploy"),
    ("docs/deploying.md", "docker build"),
    ("docs/deploying.md", "make smoke"),
    ("docs/deploying.md", "gamedojo health"),
    ("docs/deploying.md", "gamedojo policies"),
    ("docs/image.md", "gamedojo local"),
    ("docs/image.md", "make image"),
    ("docs/operating.md", "sam deploy"),
    ("docs/operating.md", "aws cloudformation"),
    ("docs/quick_start.md", "sudo apt-get"),
    ("docs/quick_start.md", "git clone"),
    ("docs/quick_start.md", "make demo"),
    ("docs/quick_start.md", "make local"),
    ("docs/registry.md", "gamedojo registry"),
}
"""By page and the first words: exactly the blocks that say why they are not run."""

LANGUAGES = {"", "bash", "console", "csharp", "javascript", "json", "mermaid", "python", "text"}

OTHER_JSON = {
    "docs/operating.md": "Statement",
    "docs/predict_from_unity.md": "dependencies",
    "docs/replays.md": "shapes",
}
"""What is no contract's: a key policy, a manifest of Unity's, a sketch."""

PYTHON_RUN_BY = {
    "README.md": "tests/integration/client/test_client_readmes.py",
    "clients/python/README.md": "tests/integration/client/test_client_readmes.py",
    "docs/environments.md": "tests/integration/training/test_training_environments_guide.py",
    "docs/replays.md": "tests/integration/evaluation/test_evaluation_replays.py",
}
CSHARP_COMPILED_BY = {"docs/predict_from_unity.md": "tests/integration/unity/test_unity_client.py"}


def first_words(block: Block) -> str:
    """The first command's program and, of one with subcommands, the next word."""
    program, *rest = block.commands[0].split()
    return " ".join([program, *[word for word in rest[:1] if not word.startswith("-")]])


def options_of(command: str) -> list[str]:
    return re.findall(r"(?<=\s)--[a-z][a-z-]*", command.partition("#")[0])


@cache
def help_of_ours(*words: str) -> str:
    """What `gamedojo … --help` prints, in lines wide enough to break no option."""
    program, words = (local_app, words[1:]) if words[0] == "local" else (app, words)
    shown = CliRunner().invoke(program, [*words, "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert shown.exit_code == 0, shown.output
    return shown.output


@cache
def help_of_sam(command: str) -> str:
    environment = {"PATH": "/usr/bin:/bin", "COLUMNS": "200", "HOME": "/nonexistent", "SAM_CLI_TELEMETRY": "0"}
    words = [f"{REPOSITORY}/.venv-sam/bin/sam", command, "--help"]
    return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=True).stdout


def subcommand(words: list[str]) -> list[str]:
    """The leading words that name a command of the `gamedojo` program."""
    groups = ("local", "policies", "builds", "registry")
    return words[:2] if words[0] in groups else words[:1]


def test_the_blocks_that_are_not_run_are_these():
    marked = [block for block in all_blocks("console", "bash") if block.not_run]
    assert {(block.page, first_words(block)) for block in marked} == NOT_RUN
    assert all(len(block.not_run) > 10 for block in marked), "a reason"


def test_a_fence_says_its_language():
    assert {block.language for block in all_blocks(*LANGUAGES)} <= LANGUAGES
    assert [str(block) for block in all_blocks("sh", "shell", "py", "yaml", "yml", "js", "cs")] == []


def commands_of(program: str) -> list[str]:
    found = [command for block in all_blocks("console") for command in block.commands]
    return sorted({command for command in found if command.split()[0] == program})


@pytest.mark.parametrize("command", commands_of("make"))
def test_a_target_exists(command: str):
    targets = set(re.findall(r"^([a-z0-9-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    assert [word for word in shlex.split(command, comments=True)[1:] if "=" not in word and word not in targets] == []


@pytest.mark.parametrize("command", commands_of("gamedojo"))
def test_a_command_of_ours_has_these_options(command: str):
    help_text = help_of_ours(*subcommand(command.split()[1:]))
    assert [option for option in options_of(command) if option not in help_text] == []


@pytest.mark.parametrize("command", commands_of("sam"))
def test_a_command_of_sam_has_these_options(command: str):
    parameters = set(re.findall(r"^  ([A-Z]\w+):$", (REPOSITORY / "template.yaml").read_text(), re.MULTILINE))
    given = re.findall(r"\s([A-Z]\w+)=", command)
    assert set(given) <= parameters
    help_text = help_of_sam(command.split()[1])
    assert [option for option in options_of(command) if option not in help_text] == []


def test_targets_of_the_dockerfile_are_those_that_are_built():
    stages = re.findall(r"^FROM .* AS (\w+)$", (REPOSITORY / "container/Dockerfile").read_text(), re.MULTILINE)
    targets = re.findall(r"--target (\w+)", "\n".join(commands_of("docker")))
    assert sorted(targets) == ["inference", "training"]
    assert set(targets) <= set(stages)


def read_as(text: str) -> type[BaseModel] | None:
    """The contract that a document fits; the first one, of those that ask for the most."""
    document = json.loads(text)
    for model in (PredictResponse, Problem, PredictRequest):
        try:
            model.model_validate_json(text)
        except ValidationError:
            continue
        return model
    model = TrainingRequest if isinstance(document, dict) and "build" in document else RunOptions
    settle(read_request(model, text))
    return model


@pytest.mark.parametrize("block", all_blocks("json"), ids=str)
def test_json_is_read_by_its_contract(block: Block):
    if block.page in OTHER_JSON and OTHER_JSON[block.page] in block.body:
        assert isinstance(json.loads(block.body), dict)
    else:
        assert read_as(block.body) is not None


def test_trainer_files_in_scripts_are_read():
    scripts = "\n".join(block.body for block in all_blocks("bash"))
    files = re.findall(r"<<'YAML'\n(.*?)^YAML$", scripts, re.DOTALL | re.MULTILINE)
    assert files
    for text in files:
        options, notes = settle(RunOptions(mlagents=text))
        assert options.stop is not None
        assert notes == ()


@pytest.mark.parametrize("block", all_blocks("python"), ids=str)
def test_python_compiles_and_is_run_by_a_test(block: Block):
    ast.parse(block.body)
    test = REPOSITORY / PYTHON_RUN_BY[block.page]
    assert block.page.rpartition("/")[2] in test.read_text()


def test_csharp_with_a_class_is_compiled_by_a_test():
    classes = {block.page for block in all_blocks("csharp") if "class " in block.body}
    assert classes == set(CSHARP_COMPILED_BY)
    for page, test in CSHARP_COMPILED_BY.items():
        assert page.rpartition("/")[2] in (REPOSITORY / test).read_text()


def rows(page: str, beginning: str) -> list[list[str]]:
    """The cells of the rows of a page whose first cell begins with this."""
    lines = (REPOSITORY / page).read_text().splitlines()
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if line.startswith(beginning)]


def test_prices_are_those_that_the_estimate_goes_by():
    priced = rows("docs/cost.md", "| `ml.")
    assert len(priced) == 7
    for instance_type, on_demand, spot, _ in priced:
        name = instance_type.strip("`")
        assert usd_per_hour(name, spot=False) == float(on_demand)
        assert usd_per_hour(name, spot=True) == pytest.approx(float(spot))
    page = (REPOSITORY / "docs/cost.md").read_text()
    list_of_prices = json.loads((REPOSITORY / "functions/pipeline/rules/instance_prices.json").read_text())
    assert f"{list_of_prices['region']}, as of {list_of_prices['as_of']}" in page
    hour = usd_per_hour("ml.c7i.large", spot=False)
    assert f"an hour of `ml.c7i.large` is {hour} USD, a month of it {hour * 730:.0f} USD" in page


def test_estimates_are_what_the_api_would_say():
    template = (REPOSITORY / "template.yaml").read_text()
    types = [
        re.search(rf"{name}:\n    Type: String\n    Default: (\S+)", template)
        for name in ("TrainingInstanceType", "EvaluationInstanceType")
    ]
    training_type, evaluation_type = (found[1] for found in types if found)
    estimated = rows("docs/cost.md", "| `{")
    assert len(estimated) == 5
    for request, training, evaluation, together in estimated:
        cost = estimate(RunOptions.model_validate_json(request.strip("`")), training_type, evaluation_type)
        assert (cost.training.max_usd, cost.evaluation.max_usd) == (float(training), float(evaluation)), request
        assert cost.max_usd == float(together)
