"""An agent's memory as a token that the caller keeps, so that any copy of the endpoint can answer its next request.

base64url of: format (1 byte), fingerprint of policy version and behavior (8 bytes), the memory as float32. Nothing in
it is secret or trusted: a forged token is merely another memory, and its values are checked as an observation's are.
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rl_src.serving.errors import InvalidRequestError, StaleStateError

_FORMAT = b"\x01"
_FINGERPRINT_BYTES = 8


@dataclass(frozen=True)
class StateTokens:
    """Tokens of one behavior's memory: `memory_size` float32 numbers an agent."""

    behavior: str
    memory_size: int
    fingerprint: bytes

    @classmethod
    def of(cls, version: str, behavior: str, memory_size: int) -> "StateTokens":
        """For one version of a policy; another version's memory means something else."""
        digest = hashlib.blake2b(f"{version}\0{behavior}".encode(), digest_size=_FINGERPRINT_BYTES).digest()
        return cls(behavior, memory_size, digest)

    def write(self, memory: NDArray[np.float32]) -> list[str]:
        """One token a row of [N, memory_size]."""
        head = _FORMAT + self.fingerprint
        return [base64.urlsafe_b64encode(head + row.astype("<f4", copy=False).tobytes()).decode() for row in memory]

    def read(self, tokens: list[str | None]) -> NDArray[np.float32]:
        """The memory [N, memory_size]; zeros, an episode's start, for None.

        Raises:
            InvalidRequestError: no token, or none of a memory of this size.
            StaleStateError: a token of another version or behavior.
        """
        memory = np.zeros((len(tokens), self.memory_size), np.float32)
        for index, token in enumerate(tokens):
            if token is not None:
                memory[index] = self._row(index, token)
        return memory

    def _row(self, index: int, token: str) -> NDArray[np.float32]:
        if not self.memory_size:
            raise InvalidRequestError(f"state {index} was given, but behavior {self.behavior!r} has no memory")
        try:
            content = base64.b64decode(token, altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise InvalidRequestError(f"state {index} is no state of an earlier answer: {error}") from error
        start = len(_FORMAT) + _FINGERPRINT_BYTES
        if content[:1] != _FORMAT or len(content) < start:
            raise InvalidRequestError(f"state {index} is no state of an earlier answer")
        if content[1:start] != self.fingerprint:
            raise StaleStateError(
                f"state {index} is of another version or behavior; give null, and the agent's memory begins anew"
            )
        if len(content) != start + 4 * self.memory_size:
            raise InvalidRequestError(
                f"state {index} holds {len(content) - start} bytes of memory; {4 * self.memory_size} are right"
            )
        return np.frombuffer(content, "<f4", offset=start)
