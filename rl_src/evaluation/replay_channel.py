"""A side channel on which a build may show what its game looks like, as a few shapes (docs/replays.md).

A build without cameras runs without graphics: it cannot draw, but it can say where things are. One that does not know
the channel notes it in its log, and goes on.
"""

import struct
from uuid import UUID

from rl_src.envs.side_channels import SideChannel

REPLAY_ID = UUID("7c5a1d60-0d1c-4f0e-9c55-9d2f0a3b6e11")
MAX_SKETCH_BYTES = 64 * 1024
MAX_SKETCHES = 64
"""Of one message that are kept."""

_WANTED, _NOT_WANTED = struct.pack("<i", 1), struct.pack("<i", 0)
_LENGTH = struct.Struct("<i")


class ReplayChannel(SideChannel):
    """Asks for sketches, and keeps those of the latest message until they are taken."""

    def __init__(self) -> None:
        super().__init__(REPLAY_ID)
        self._sketches: list[bytes] = []
        self.begin()

    def begin(self) -> None:
        """Sketches are wanted from the next command on."""
        self.send(_WANTED)

    def stop(self) -> None:
        """No more are wanted."""
        self.send(_NOT_WANTED)

    def receive(self, payload: bytes) -> None:
        """Keep one, as it is: whoever draws it will see. What is too long is passed over."""
        if len(payload) < _LENGTH.size or len(self._sketches) >= MAX_SKETCHES:
            return
        (length,) = _LENGTH.unpack_from(payload)
        if 0 < length <= min(MAX_SKETCH_BYTES, len(payload) - _LENGTH.size):
            self._sketches.append(payload[_LENGTH.size : _LENGTH.size + length])

    def take(self) -> list[bytes]:
        """What came with the latest message, in order: the ends of episodes, then how it is now."""
        taken, self._sketches = self._sketches, []
        return taken
