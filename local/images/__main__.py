"""`python -m local.images build|remove`: build both images, or remove what earlier builds left."""

import argparse
import os
import shutil
import sys
from pathlib import Path

from local.errors import ImageError
from local.images.build import build_images, cache_folder, remove_images
from local.images.engine import find_engine
from local.progress import Progress

CHECKOUT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Run a command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m local.images", description="The two container images.")
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="build both; prints their names")
    build.add_argument("--base", help="the base image, rather than the Dockerfile's")
    commands.add_parser("remove", help="remove the images of all builds, and the packages fetched for them")
    options = parser.parse_args()
    try:
        if options.command == "build":
            images = build_images(CHECKOUT, Progress(_tell), base=options.base)
            print(images.training, images.inference, sep="\n")
        else:
            for name in remove_images(find_engine()):
                _tell(f"removed {name}")
            shutil.rmtree(cache_folder(os.environ) / "wheels", ignore_errors=True)
    except ImageError as error:
        _tell(str(error))
        return 1
    return 0


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
