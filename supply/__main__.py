"""`python -m supply`: the page about licences, on standard output."""

import sys
from pathlib import Path

from supply.licences import page

if __name__ == "__main__":
    sys.stdout.write(page(Path(__file__).parents[1]))
