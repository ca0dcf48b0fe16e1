"""The C# client, compiled by Mono's compiler as strictly as it goes, and its test program (tests/unity), run by Mono.

The engine part is compiled against stubs of UnityEngine and ML-Agents (tests/unity/stubs), and so is the sample.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGE = REPOSITORY / "clients" / "unity"
TESTS = REPOSITORY / "tests" / "unity"

# C# 7.2 is what this compiler and Unity 2021 have in common; a warning is an error.
STRICT = ("-nologo", "-langversion:7.2", "-warnaserror", "-warn:4", "-debug", "-r:System.Net.Http.dll")

needs_mono = pytest.mark.skipif(
    (shutil.which("mono") is None or shutil.which("mcs") is None) and "CI" not in os.environ,
    reason="Mono is not installed (apt-get install mono-mcs mono-runtime libmono-system-net-http4.0-cil)",
)


@dataclass(frozen=True)
class UnityClient:
    """The compiled assemblies, in one folder."""

    folder: Path

    def arguments(self, *arguments: str) -> list[str]:
        return ["mono", "--debug", str(self.folder / "Gamedojo.Tests.exe"), *arguments]

    def run(self, *arguments: str) -> str:
        """What the test program prints; a test of it that fails raises its words."""
        finished = subprocess.run(
            self.arguments(*arguments), capture_output=True, text=True, timeout=120, check=False, env=_environment()
        )
        assert finished.returncode == 0, finished.stdout + finished.stderr
        return finished.stdout

    def scenario(self, name: str, *arguments: str) -> str:
        return self.run("scenario", name, *arguments)


def compile_client(folder: Path) -> UnityClient:
    """Compile the package, assembly by assembly as Unity does, and the test program."""
    client = UnityClient(folder)
    runtime = PACKAGE / "Runtime"
    core, unity, ml_agents = ("Gamedojo.Core", "Gamedojo.Unity", "Gamedojo.MLAgents")
    compile_assembly(folder, core, runtime / "Core")
    compile_assembly(folder, "UnityEngine", *sorted((TESTS / "stubs").glob("Unity*.cs")))
    compile_assembly(folder, "Unity.ML-Agents", TESTS / "stubs" / "MLAgents.cs", uses=("UnityEngine",))
    compile_assembly(folder, unity, runtime / "Unity", uses=(core, "UnityEngine"))
    engine = (core, unity, "UnityEngine", "Unity.ML-Agents")
    compile_assembly(folder, ml_agents, runtime / "MLAgents", uses=engine, defines=("GAMEDOJO_MLAGENTS_3",))
    sample = PACKAGE / "Samples~" / "LineWorld"
    compile_assembly(folder, "Gamedojo.Tests", sample, TESTS / "runner", uses=(*engine, ml_agents), program=True)
    return client


def compile_assembly(
    folder: Path,
    name: str,
    *sources: Path,
    uses: tuple[str, ...] = (),
    defines: tuple[str, ...] = (),
    program: bool = False,
) -> None:
    """Compile files, and all files of folders, into `folder`."""
    files = [file for source in sources for file in (sorted(source.glob("*.cs")) if source.is_dir() else [source])]
    finished = subprocess.run(
        [
            "mcs",
            *STRICT,
            f"-target:{'exe' if program else 'library'}",
            f"-out:{folder / name}.{'exe' if program else 'dll'}",
            f"-lib:{folder}",
            *(f"-r:{used}.dll" for used in uses),
            *(f"-d:{define}" for define in defines),
            *map(str, files),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr


def _environment() -> dict[str, str]:
    """Without a proxy's variables, and in a language that writes 0,5 for a half."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return kept | {"LC_ALL": "de_DE.UTF-8", "MONO_GC_PARAMS": "max-heap-size=512m"}
