"""The beginning of a member of a zip, whatever the member is."""

import zlib
from zipfile import BadZipFile, ZipFile, ZipInfo

from pipeline.errors import BuildRejectedError

DAMAGED = (BadZipFile, NotImplementedError, EOFError, UnicodeDecodeError, OSError, zlib.error)
"""What zipfile raises of a zip that is broken or packed in a way that it does not know. A file says OSError of an
offset before its beginning; what S3 cannot do has been translated before it comes here."""


class Members:
    """Reads members of an open zip."""

    def __init__(self, archive: ZipFile) -> None:
        self._archive = archive

    def head(self, member: ZipInfo, size_bytes: int = 256) -> bytes:
        """Its first bytes, unpacked; as many as there are.

        Raises:
            BuildRejectedError: it cannot be read.
        """
        try:
            with self._archive.open(member) as file:
                return file.read(size_bytes)
        except DAMAGED as error:
            raise BuildRejectedError(
                f"{member.filename!r} in the zip cannot be read: {error}.", "Zip the build again and upload it whole."
            ) from error
