"""Camera and grid observations that arrive as PNG.

A picture of more than three channels travels as several PNGs of three channels in a row (padded), with a mapping from
the picture's channels to the observation's: several sources of one target are averaged (grayscale), -1 is dropped.
ml-agents: `CompressionSpec`, `GetCompressedChannelMapping`; `mlagents_envs/rpc_utils.py`.
"""

import io
import struct
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from rl_src.envs.batches import FloatArray
from rl_src.envs.errors import SensorImageError

BRIGHTEST = np.float32(255)
"""What a picture's values are divided by."""

_AS_THEY_ARE = ((), (0, 1, 2))
"""Mappings of an ordinary colour picture."""

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_BEGINNING = _PNG_SIGNATURE + b"\0\0\0\x0dIHDR"  # which comes first, and begins with the size (PNG 5.6, 11.2.1)
_SIZE_AT, _SIZE = len(_PNG_BEGINNING), struct.Struct(">II")  # width, height


def decode_png(data: bytes, mapping: tuple[int, ...], sensor: str, out: FloatArray) -> None:
    """Decode one agent's observation into `out` [C, H, W], values from 0 to `BRIGHTEST`.

    Quickest where `out` lies in memory as pictures do: channels last.

    Raises:
        SensorImageError: no PNG, or one of another size than `out`.
    """
    pictures = list(_pictures(data, sensor, out.shape))
    if len(pictures) == 1 and pictures[0].shape == out.shape and mapping in _AS_THEY_ARE:
        out[:] = pictures[0]
        return
    planes = [plane for picture in pictures for plane in picture]
    channels, height, width = out.shape
    wrong = next((plane.shape for plane in planes if plane.shape != (height, width)), None)
    if wrong is not None:
        raise SensorImageError(
            f"Sensor {sensor} sent an image of {wrong} pixels (height, width); its shape is {out.shape}."
        )
    if mapping:
        _apply_mapping(planes, mapping, sensor, out)
    elif channels == 1:
        out[0] = np.mean(planes[:3], axis=0, dtype=np.float32)
    elif len(planes) >= channels:
        out[:] = planes[:channels]  # the rest is padding to a multiple of three
    else:
        raise SensorImageError(f"Sensor {sensor} sent {len(planes)} channels; its shape is {out.shape}.")


def _apply_mapping(planes: list[npt.NDArray[np.uint8]], mapping: tuple[int, ...], sensor: str, out: FloatArray) -> None:
    targets = {target for target in mapping if target >= 0}
    if len(mapping) != len(planes) or targets != set(range(len(out))):
        raise SensorImageError(
            f"Sensor {sensor} maps {len(mapping)} image channels {mapping}; it sent {len(planes)}, for {len(out)}."
        )
    for target in range(len(out)):
        sources = [plane for plane, mapped in zip(planes, mapping, strict=True) if mapped == target]
        out[target] = sources[0] if len(sources) == 1 else np.mean(sources, axis=0, dtype=np.float32)


def _pictures(data: bytes, sensor: str, shape: tuple[int, ...]) -> Iterator[npt.NDArray[np.uint8]]:
    """Each concatenated PNG as [3, H, W]. A few bytes can hold a picture of gigabytes: its size comes first."""
    _, height, width = shape
    size = _SIZE.pack(width, height)
    start = 0
    while start >= 0:
        if data[start + _SIZE_AT : start + _SIZE_AT + _SIZE.size] != size:
            _require_no_other_size(data, start, sensor, shape)
        end = data.find(_PNG_SIGNATURE, start + 1)
        yield _picture(data[start : end if end >= 0 else None], sensor).transpose(2, 0, 1)
        start = end


def _require_no_other_size(data: bytes, start: int, sensor: str, shape: tuple[int, ...]) -> None:
    """What is no PNG at all is the decoder's to refuse: without its first chunk it allocates nothing."""
    if data.startswith(_PNG_BEGINNING, start) and len(data) >= start + _SIZE_AT + _SIZE.size:
        width, height = _SIZE.unpack_from(data, start + _SIZE_AT)
        raise SensorImageError(
            f"Sensor {sensor} sent an image of {(height, width)} pixels (height, width); its shape is {shape}."
        )


def _picture(data: bytes, sensor: str) -> npt.NDArray[np.uint8]:
    """One PNG as [H, W, 3]."""
    import pyspng  # only builds with cameras pay for these imports

    try:
        # 28 µs for 84 x 84 pixels, where Pillow takes 87. Unity writes 8-bit RGB; anything else is Pillow's.
        pixels: npt.NDArray[np.uint8] = pyspng.load(data)
        if pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3:
            return pixels
        from PIL import Image

        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            return np.asarray(image.convert("RGB"), np.uint8)
    except (RuntimeError, OSError, SyntaxError) as error:
        raise SensorImageError(f"Sensor {sensor} sent an image that is no PNG: {error}.") from error
