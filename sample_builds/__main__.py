"""`python -m sample_builds pack Basic --output DIR`, `python -m sample_builds list`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sample_builds.catalog import SAMPLE_BUILDS
from sample_builds.packer import UnknownSampleBuildError, pack


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m sample_builds", description="Unity builds of our own.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="name the sample builds")
    packing = commands.add_parser("pack", help="write <name>.zip, ready to be dropped into builds/")
    packing.add_argument("names", nargs="+", metavar="NAME", help=f"of: {', '.join(SAMPLE_BUILDS)}; or all")
    packing.add_argument("--output", type=Path, default=Path("dist"), metavar="DIR")
    options = parser.parse_args(arguments)
    if options.command == "list":
        for build in SAMPLE_BUILDS.values():
            sys.stdout.write(f"{build.name:10} {build.summary}\n")
        return 0
    try:
        for name in SAMPLE_BUILDS if options.names == ["all"] else options.names:
            sys.stdout.write(f"{pack(name, options.output)}\n")
    except UnknownSampleBuildError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
