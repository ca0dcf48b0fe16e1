"""What the stack makes says whose it is: CloudFormation hands a stack's tags on to all that is in it."""

import tomllib

from pipeline.rules import names
from tests.fakes.expanded_template import ROOT, source


def deployed() -> dict[str, dict[str, str]]:
    """What `sam deploy` is told, by command; `key=value` words as SAM reads them."""
    document = tomllib.loads((ROOT / "samconfig.toml").read_text())["default"]
    return {command: told["parameters"] for command, told in document.items()}


def test_the_stack_is_tagged_as_what_its_runs_make_is() -> None:
    tags = dict(word.split("=") for word in deployed()["deploy"]["tags"].split())
    made_by_runs = names.tags(deployed()["global"]["stack_name"], "policy", "run")
    assert tags == {name: made_by_runs[name] for name in ("project", "stage")}


def test_the_stage_of_the_tags_is_the_templates_own_by_default() -> None:
    stage = source()["Parameters"]["Stage"]["Default"]
    assert deployed()["global"]["stack_name"] == f"gamedojo-{stage}"
    assert f"stage={stage}" in deployed()["deploy"]["tags"].split()


def test_no_resource_says_otherwise_of_itself() -> None:
    """A resource's own tags would win over the stack's."""
    for name, one in source()["Resources"].items():
        own = one.get("Properties", {}).get("Tags", {})
        keys = set(own) if isinstance(own, dict) else {tag["Key"] for tag in own}
        assert not keys & {"project", "stage"}, name
