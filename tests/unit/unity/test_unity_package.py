"""The Unity package as a whole: what Unity's package manager and importer go by."""

import json
import re
from typing import Any

import pytest

from tests.fakes.unity_client import PACKAGE

MANIFEST = json.loads((PACKAGE / "package.json").read_text())
ASSETS = [
    path for path in PACKAGE.rglob("*") if not any(part.endswith("~") for part in path.relative_to(PACKAGE).parts)
]
ASSEMBLIES: dict[str, dict[str, Any]] = {
    path.parent.name: json.loads(path.read_text()) for path in PACKAGE.rglob("*.asmdef")
}
SOURCES = sorted(PACKAGE.rglob("*.cs"))
LONGEST_LINE, LONGEST_FILE = 130, 400
ENGINE = re.compile(r"\b(UnityEngine|Unity\.MLAgents)\b")


def test_every_asset_has_a_meta_file_with_an_id_of_its_own() -> None:
    """Unity ignores an asset of an installed package that has none ("… is in an immutable folder")."""
    assets = {path for path in ASSETS if path.suffix != ".meta"}
    metas = {path for path in ASSETS if path.suffix == ".meta"}
    assert {path.with_name(path.name + ".meta") for path in assets} == metas
    ids = [re.search(r"^guid: ([0-9a-f]{32})$", meta.read_text(), re.MULTILINE) for meta in metas]
    assert len({found[1] for found in ids if found}) == len(metas)


def test_the_manifest_is_whole() -> None:
    assert MANIFEST.keys() >= {"name", "version", "displayName", "description", "unity", "license"}
    assert re.fullmatch(r"com\.[a-z0-9.-]+", MANIFEST["name"])
    for sample in MANIFEST["samples"]:
        assert list((PACKAGE / sample["path"]).glob("*.cs"))
    assert f"## [{MANIFEST['version']}]" in (PACKAGE / "CHANGELOG.md").read_text()


def test_assemblies_name_one_another() -> None:
    assert {folder: one["name"] for folder, one in ASSEMBLIES.items()} == {
        "Core": "Gamedojo.Core",
        "Unity": "Gamedojo.Unity",
        "MLAgents": "Gamedojo.MLAgents",
    }
    assert ASSEMBLIES["Core"]["noEngineReferences"] is True
    defined = {entry["define"] for entry in ASSEMBLIES["MLAgents"]["versionDefines"]}
    assert set(ASSEMBLIES["MLAgents"]["defineConstraints"]) <= defined, "without ML-Agents the assembly is left out"


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_sources_use_nothing_that_unity_lacks(source: Any) -> None:
    text = source.read_text()
    assert not re.search(r"System\.Text\.Json|Newtonsoft|\bdynamic\b", text)
    if source.parent.name == "Core":
        assert not ENGINE.search(text), "the core knows no engine"
        assert source.name == "HttpClientTransport.cs" or "ConfigureAwait" not in text, "a browser has no thread pool"
    assert max(map(len, text.splitlines())) <= LONGEST_LINE
    assert len(text.splitlines()) <= LONGEST_FILE
