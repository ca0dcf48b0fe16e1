"""Play all scenarios, keep their figures and draw the picture: `make scale`, which writes docs/scale.md after that."""

from benchmarks.scale.picture import draw
from benchmarks.scale.scenarios import keep

if __name__ == "__main__":
    keep(draw)
