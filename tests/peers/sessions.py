"""What a client did with a build and saw of it, as arrays that two clients can be compared by.

Standard library and numpy only, for any numpy: the environment of the reference client reads and writes it, too.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

RESET, STEP = "reset", "step"
DECISIONS, TERMINALS, ACTIONS = "decisions", "terminals", "actions"
EXCHANGE = "exchange"
"""The column that says in which exchange a row came, or which exchange an action answers. The first is 0."""

_FACTS_FILE, _TABLES_FILE = "session.json", "tables.npz"


@dataclass
class Session:
    """`tables`: by "<behavior>/<decisions, terminals or actions>/<column>", the rows of all exchanges in their order.

    `commands`: what each exchange is the answer to. `behaviors`: what the client read from the handshake. `remarks`:
    whatever else a test wants to know, as JSON has it.
    """

    commands: list[str] = field(default_factory=list)
    behaviors: dict[str, Any] = field(default_factory=dict)
    tables: dict[str, Array] = field(default_factory=dict)
    remarks: dict[str, Any] = field(default_factory=dict)

    def table(self, behavior: str, kind: str) -> dict[str, Array]:
        """The columns of one table; none when there was never a row."""
        prefix = f"{behavior}/{kind}/"
        return {name.removeprefix(prefix): column for name, column in self.tables.items() if name.startswith(prefix)}

    def rows(self, behavior: str, kind: str, exchange: int) -> dict[str, Array]:
        """The columns of one table, for one exchange."""
        table = self.table(behavior, kind)
        return {name: column[table[EXCHANGE] == exchange] for name, column in table.items() if name != EXCHANGE}

    def count(self, behavior: str, kind: str) -> int:
        """How many rows a table has."""
        return len(self.table(behavior, kind).get(EXCHANGE, ()))

    def save(self, folder: Path) -> None:
        """Write it; no pickles."""
        folder.mkdir(parents=True, exist_ok=True)
        facts = {"commands": self.commands, "behaviors": self.behaviors, "remarks": self.remarks}
        (folder / _FACTS_FILE).write_text(json.dumps(facts, indent=1) + "\n", "utf-8")
        tables: dict[str, Any] = self.tables
        np.savez_compressed(folder / _TABLES_FILE, **tables)

    @classmethod
    def load(cls, folder: Path) -> "Session":
        """Read what `save` has written."""
        facts = json.loads((folder / _FACTS_FILE).read_text("utf-8"))
        with np.load(folder / _TABLES_FILE, allow_pickle=False) as file:
            return cls(**facts, tables=dict(file))


class SessionWriter:
    """Collects a session, exchange by exchange."""

    def __init__(self) -> None:
        self._session = Session()
        self._parts: dict[str, list[Array]] = {}

    @property
    def exchange(self) -> int:
        """The number of the exchange that was begun last."""
        return len(self._session.commands) - 1

    def begin(self, command: str) -> None:
        """Another exchange, the answer to `command`."""
        self._session.commands.append(command)

    def describe(self, behavior: str, spec: Mapping[str, Any]) -> None:
        """A behavior's specification; the first counts."""
        self._session.behaviors.setdefault(behavior, {**spec, "first_exchange": self.exchange})

    def add(self, behavior: str, kind: str, columns: Mapping[str, Array]) -> None:
        """Rows of this exchange."""
        rows = len(next(iter(columns.values())))
        if rows:
            for name, column in {EXCHANGE: np.full(rows, self.exchange, np.int64), **columns}.items():
                self._parts.setdefault(f"{behavior}/{kind}/{name}", []).append(column)

    def finish(self, **remarks: Any) -> Session:
        """All of it."""
        self._session.tables = {name: np.concatenate(parts) for name, parts in self._parts.items()}
        self._session.remarks = remarks
        return self._session


def agent_columns(
    agent_ids: Any, observations: Any, rewards: Any, group_ids: Any, group_rewards: Any
) -> dict[str, Array]:
    """What decisions and terminals have in common, in the types that both clients are compared in."""
    columns: dict[str, Array] = {
        "agent_ids": np.asarray(agent_ids, np.int64),
        "rewards": np.asarray(rewards, np.float32),
        "group_ids": np.asarray(group_ids, np.int64),
        "group_rewards": np.asarray(group_rewards, np.float32),
    }
    for index, observation in enumerate(observations):
        columns[f"observations_{index}"] = np.asarray(observation, np.float32)
    return columns


def differences(one: Session, other: Session) -> Iterator[str]:
    """Every way in which two clients' sessions differ, remarks aside; values must be equal to the bit."""
    if one.commands != other.commands:
        yield "commands"
    for name in {*one.behaviors, *other.behaviors}:
        if one.behaviors.get(name) != other.behaviors.get(name):
            yield f"{name}: described as {one.behaviors.get(name)} and as {other.behaviors.get(name)}"
    for key in sorted({*one.tables, *other.tables}):
        mine, its = one.tables.get(key), other.tables.get(key)
        if mine is None or its is None:
            yield f"{key}: only one of them has it"
        elif mine.shape != its.shape or mine.dtype != its.dtype:
            yield f"{key}: {mine.shape} of {mine.dtype} and {its.shape} of {its.dtype}"
        elif not np.array_equal(mine, its):
            rows = np.flatnonzero((mine != its).reshape(len(mine), -1).any(axis=1))
            yield f"{key}: {len(rows)} of {len(mine)} rows differ, the first is row {rows[0]}"
