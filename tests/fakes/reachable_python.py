"""An interpreter for sample builds that any user may start, where that of the tests lies in somebody's home."""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

_WHERE_ALL_MAY_GO = ("/usr/local/bin", "/usr/bin", "/opt/python/bin")


def make(folder: Path) -> Path | None:
    """A folder with a `python3` that has the packages of the tests and may be reached by all.

    None where no Python of this version lies outside closed folders. `folder`: in one that all may pass.
    """
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    found = shutil.which(version, path=":".join(_WHERE_ALL_MAY_GO))
    if found is None or not _open_to_all(Path(found).resolve()):
        return None
    folder.chmod(0o755)
    subprocess.run([found, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    packages = folder / "venv" / "lib" / version / "site-packages"
    (packages / "of_the_tests.pth").write_text(sysconfig.get_paths()["purelib"] + "\n", encoding="utf-8")
    return folder / "venv" / "bin"


def _open_to_all(path: Path) -> bool:
    return all(parent.stat().st_mode & 0o001 for parent in path.parents)
