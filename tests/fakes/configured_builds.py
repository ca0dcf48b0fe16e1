"""Packed builds with a gamedojo.json at their root."""

import io
import json
import zipfile
from typing import Any


def configured(build: bytes, **options: Any) -> bytes:
    buffer = io.BytesIO(build)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("gamedojo.json", json.dumps(options))
    return buffer.getvalue()
