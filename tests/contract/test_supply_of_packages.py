"""What is shipped of others: locked by hash, under licences that we may ship, listed where people and programs look."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from supply import licences
from supply.licences import CUDA, SHIPPED, Package

ROOT = Path(__file__).parents[2]
LOCKS = (*sorted((ROOT / "requirements").glob("*.txt")), ROOT / "functions" / "requirements.txt")
WITHOUT_HASHES = {"torch.txt": "the environments' torch, whose index is chosen (TORCH_INDEX): others have other wheels"}
SBOMS = {
    "training-image": SHIPPED["training image"],
    "training-image-cuda": ("requirements/training.txt", CUDA),
    "inference-image": SHIPPED["inference image"],
    "lambda-functions": SHIPPED["Lambda functions"],
}


@pytest.mark.parametrize(
    "lock", [path for path in LOCKS if path.name not in WITHOUT_HASHES], ids=lambda path: path.name
)
def test_every_locked_package_has_hashes(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8").replace("\\\n", " ")
    requirements = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert requirements
    assert [line for line in requirements if not re.search(r"==\S+ .*--hash=sha256:[0-9a-f]{64}", line)] == []


def test_what_has_no_hashes_is_the_one_package_that_is_said_to_have_none() -> None:
    found = {path.name: [name for name, _ in licences.locked(path.read_text())] for path in LOCKS}
    assert {name: found[name] for name in WITHOUT_HASHES} == {"torch.txt": ["torch"]}


def test_the_images_and_the_functions_install_nothing_but_what_is_looked_at_here() -> None:
    dockerfile = (ROOT / "container" / "Dockerfile").read_text(encoding="utf-8")
    copied = set(re.findall(r"requirements/[\w-]+\.txt", dockerfile)) | {"functions/requirements.txt"}
    assert {file for files in SHIPPED.values() for file in files} | {CUDA} == copied


@pytest.mark.parametrize("what", SHIPPED)
def test_every_shipped_package_is_under_a_licence_that_we_may_ship(what: str) -> None:
    found = licences.packages(ROOT, SHIPPED[what])
    assert len(found) >= 9
    assert {one.name: one.refused for one in found if one.refused} == {}


@pytest.mark.parametrize(
    ("stated", "refused"),
    [
        ("", ("no licence",)),
        ("UNKNOWN", ("UNKNOWN",)),
        ("GPL-3.0-or-later", ("GPL-3.0-or-later",)),
        ("MIT AND (AGPL-3.0-only OR Apache-2.0 WITH LLVM-exception)", ("AGPL-3.0-only",)),
        ("Apache-2.0, GNU General Public License v3 (GPLv3)", ("GNU General Public License v3 ", "GPLv3")),
        ("MIT", ()),
    ],
)
def test_unknown_and_strong_licences_are_refused(stated: str, refused: tuple[str, ...]) -> None:
    assert Package("somebodys", "1.0", stated).refused == refused


def test_the_page_of_licences_is_of_these_lock_files() -> None:
    written = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
    assert written == licences.page(ROOT), "make licences"


@pytest.mark.skipif(not (ROOT / ".venv-supply" / ".done").exists(), reason="make sbom makes the environment for it")
@pytest.mark.parametrize("name", SBOMS)
def test_a_bill_of_materials_lists_each_package_with_its_hashes(tmp_path: Path, name: str) -> None:
    text = "\n".join((ROOT / file).read_text(encoding="utf-8") for file in SBOMS[name])
    target = tmp_path / f"{name}.json"
    program = str(ROOT / ".venv-supply" / "bin" / "cyclonedx-py")
    subprocess.run(
        [program, "requirements", "-", "--output-reproducible", "--validate", "-o", str(target)],
        input=text,
        text=True,
        check=True,
        timeout=120,
    )
    document = json.loads(target.read_text())
    assert document["bomFormat"] == "CycloneDX"
    listed = {(one["name"], one["version"]): one for one in document["components"]}
    assert set(listed) == set(licences.locked(text))
    hashed = {name for (name, _), one in listed.items() if any("hashes" in it for it in one["externalReferences"])}
    assert hashed == {name for name, _ in listed}
