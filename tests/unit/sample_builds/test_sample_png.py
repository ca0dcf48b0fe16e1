"""The sample builds' PNG writer, read by another's."""

import io

import numpy as np
import pytest
from PIL import Image

from sample_builds.player.png import encode_png, encode_scanlines


@pytest.mark.parametrize(("width", "height"), [(84, 64), (40, 40), (1, 1), (300, 200)])
@pytest.mark.parametrize("colours", [1, 3, 256])
def test_what_was_written_is_read(width: int, height: int, colours: int) -> None:
    pixels = np.random.default_rng(width).integers(0, colours, (height, width, 3), np.uint8)
    picture = Image.open(io.BytesIO(encode_png(pixels.tobytes(), width, height)))
    assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", (width, height))
    assert np.array_equal(np.asarray(picture), pixels)


def test_lines_with_filter_bytes_give_the_same() -> None:
    pixels = bytes(range(2 * 3 * 3))
    lines = b"\x00" + pixels[:9] + b"\x00" + pixels[9:]
    assert encode_scanlines(lines, 3, 2) == encode_png(pixels, 3, 2)


def test_too_few_pixels_are_refused() -> None:
    with pytest.raises(ValueError, match="4 x 2 pixels take 24 bytes, not 23"):
        encode_png(bytes(23), 4, 2)
