"""Licences of the locked packages, as the installed ones state them, against those that we may ship under."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageMetadata, metadata
from pathlib import Path

SHIPPED = {
    "Lambda functions": ("functions/requirements.txt",),
    "training image": ("requirements/training.txt", "requirements/torch-cpu.txt"),
    "inference image": ("requirements/inference.txt",),
}
"""Lock files, from the repository's root, of each thing that leaves it."""

CUDA = "requirements/torch-cuda.txt"
"""For GPUs, in place of torch-cpu.txt; its packages are not installed here, to be asked for their licences."""

ALLOWED = {
    "0BSD": "asks for nothing",
    "Apache-2.0": "permissive, with a grant of patents",
    "BSD-2-Clause": "permissive",
    "BSD-3-Clause": "permissive",
    "BSL-1.0": "permissive",
    "CC0-1.0": "asks for nothing",
    "LLVM-exception": "takes from Apache-2.0 what it asks for compiled code",
    "MIT": "permissive",
    "MIT-0": "asks for nothing",
    "MIT-CMU": "permissive",
    "MPL-2.0": "weak copyleft, a file at a time: the packages are shipped as they are",
    "PSF-2.0": "permissive",
    "Zlib": "permissive",
}
"""Every licence that a shipped package may name, and why; a package that may choose one names allowed ones only."""

_NOT_ON_LINUX = frozenset({"tzdata"})
"""Locked for other platforms; neither image nor Lambda gets it."""

_SPDX = {
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "3-Clause BSD License": "BSD-3-Clause",
    "BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
"""Of what packages say that know no SPDX expressions."""

_LOCKED = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^]]*\])?==([^\s;\\]+)", re.MULTILINE)
_CLASSIFIER = "License :: OSI Approved :: "


@dataclass(frozen=True)
class Package:
    """A locked package. `licence`: an SPDX expression, or what it says instead; empty if it says nothing."""

    name: str
    version: str
    licence: str

    @property
    def refused(self) -> tuple[str, ...]:
        """Licences that it names and that are not allowed; all of what it says if that is no expression."""
        named = [word for word in re.split(r"\s+(?:AND|OR|WITH)\s+|, |[()]", self.licence) if word.strip()]
        return tuple(name for name in named or ["no licence"] if name not in ALLOWED)


def locked(text: str) -> Iterator[tuple[str, str]]:
    """Name and version of each package in a lock file."""
    for found in _LOCKED.finditer(text):
        yield found[1], found[2]


def packages(root: Path, lock_files: tuple[str, ...]) -> tuple[Package, ...]:
    """What these lock files put on Linux, by name.

    Raises:
        PackageNotFoundError: one is not installed here, so that nothing is known of it.
    """
    found = {
        name: Package(name, version, licence(name))
        for file in lock_files
        for name, version in locked((root / file).read_text(encoding="utf-8"))
        if name not in _NOT_ON_LINUX
    }
    return tuple(found[name] for name in sorted(found))


def licence(name: str) -> str:
    """As the installed package states it: by expression, by classifiers, or by its field of old.

    Raises:
        PackageNotFoundError: it is not installed.
    """
    stated = metadata(name)
    if "License-Expression" in stated:
        return stated["License-Expression"]
    classified = [
        text.removeprefix(_CLASSIFIER) for text in stated.get_all("Classifier") or [] if text.startswith(_CLASSIFIER)
    ]
    words = sorted({_SPDX.get(text, text) for text in classified}) or [_of_old(stated)]
    return ", ".join(words)


def _of_old(stated: PackageMetadata) -> str:
    """Some put the whole text there, whose first line is its name at best."""
    text = stated["License"].strip() if "License" in stated else ""
    first = text.partition("\n")[0].strip()
    return _SPDX.get(first, first)


def page(root: Path) -> str:
    """docs/licences.md."""
    lines = [
        "# Licences",
        "",
        "What leaves this repository holds packages of others, under these licences, as the packages state them. Made",
        "by `make licences`; a test compares it with the lock files, and refuses a licence that is not in the first",
        "table. `make sbom` writes the same packages with their hashes as CycloneDX files to build/sbom/.",
        "",
        "A training image for GPUs (TORCH_BUILD=cuda) has more packages, which are listed at the end. Those named",
        "nvidia-… are not free software and come under NVIDIA's own terms; the others state MIT or Apache-2.0.",
        "",
        "| licence | why it may be shipped |",
        "|---|---|",
        *(f"| {name} | {reason} |" for name, reason in ALLOWED.items()),
    ]
    for what, files in SHIPPED.items():
        lines += ["", f"## {what[0].upper()}{what[1:]}", "", "| package | version | licence |", "|---|---|---|"]
        lines += [f"| {one.name} | {one.version} | {one.licence} |" for one in packages(root, files)]
    lines += ["", "## Training image for GPUs, beside that", "", "| package | version |", "|---|---|"]
    lines += [f"| {name} | {version} |" for name, version in cuda_packages(root)]
    return "\n".join(lines) + "\n"


def cuda_packages(root: Path) -> tuple[tuple[str, str], ...]:
    """Names and versions of what torch's CUDA build brings into the training image."""
    texts = ((root / file).read_text(encoding="utf-8") for file in (CUDA, *SHIPPED["training image"]))
    brought, *others = (dict(locked(text)) for text in texts)
    return tuple(
        (name, brought[name]) for name in sorted(brought.keys() - {name for other in others for name in other})
    )
