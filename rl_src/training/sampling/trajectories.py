"""From a stream of decision and terminal batches to each agent's trajectory.

Unity numbers *episodes*, not agents: an agent gets a new id when its episode ends, so terminal and next decision of
the same body may come in one message, as two ids. An agent need not decide in every step. The reward that comes with a
decision or a terminal step belongs to the agent's previous decision; what comes with the first one belongs to none.

No step is handled agent by agent beyond dictionary look-ups: rows are gathered when the trajectories are taken.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Trajectory:
    """A stretch of one agent's episode: L decisions, L rewards, L + 1 observations.

    The last observation is the terminal one, or the one to bootstrap from when the stretch was cut or truncated.
    """

    key: int
    started_at: int
    observations: tuple[FloatArray, ...]  # [L + 1, *shape] for each sensor
    actions: FloatArray  # [L, A]
    inputs: FloatArray  # [L, D]
    masks: FloatArray | None  # [L, sum(branches)]
    memories: FloatArray | None  # [L + 1, M]: before each decision, and after the last one
    rewards: FloatArray  # [L]
    terminated: bool
    truncated: bool


@dataclass(frozen=True)
class FinishedEpisode:
    """One whole episode, over all its stretches. `length` counts decisions."""

    episode_return: float
    length: int


@dataclass
class _Ending:
    truncated: bool
    observations: tuple[FloatArray, ...]


@dataclass
class _Rows:
    """What was recorded since the trajectories were last taken; one row a decision."""

    keys: list[IntArray] = field(default_factory=list)
    observations: list[tuple[FloatArray, ...]] = field(default_factory=list)
    actions: list[FloatArray] = field(default_factory=list)
    inputs: list[FloatArray] = field(default_factory=list)
    masks: list[FloatArray | None] = field(default_factory=list)
    memories: list[FloatArray] = field(default_factory=list)
    count: int = 0


class TrajectoryCollector:
    """Collects the agents of one behavior, of all scenes. `key` is an agent's id, made unique across scenes."""

    def __init__(self) -> None:
        self._rows = _Rows()
        self._rewards = np.zeros(1024, dtype=np.float32)
        self._last_row: dict[int, int] = {}
        self._endings: dict[int, _Ending] = {}
        self._carried: dict[int, tuple[float, int]] = {}  # of open episodes: return and length already taken
        self._finished: list[FinishedEpisode] = []
        self.decisions = 0  # since the trajectories were last taken

    def receive(self, keys: IntArray, rewards: FloatArray) -> None:
        """Agents ask for a decision: their rewards belong to their previous decisions."""
        self._credit(self._rows_of(keys), rewards)

    def receive_terminals(
        self, keys: IntArray, rewards: FloatArray, truncated: NDArray[np.bool_], observations: Sequence[FloatArray]
    ) -> None:
        """Episodes end; `observations` are the final ones. An episode without any decision leaves no trace."""
        rows = self._rows_of(keys)
        self._credit(rows, rewards)
        for i in np.flatnonzero(rows >= 0).tolist():
            ending = _Ending(bool(truncated[i]), tuple(value[i] for value in observations))
            self._endings[int(rows[i])] = ending
            del self._last_row[int(keys[i])]
        for i in np.flatnonzero(rows < 0).tolist():
            carried = self._carried.pop(int(keys[i]), None)
            if carried is not None:  # ended between two samples, without a decision in the second
                self._finished.append(FinishedEpisode(carried[0] + float(rewards[i]), carried[1]))

    def record(
        self,
        keys: IntArray,
        observations: tuple[FloatArray, ...],
        actions: FloatArray,
        inputs: FloatArray,
        masks: FloatArray | None,
        memories: FloatArray | None = None,
    ) -> None:
        """Agents have decided: one row each.

        Args:
            keys: [N].
            observations: [N, *shape] for each sensor.
            actions: packed, [N, A].
            inputs: of the distribution, [N, D].
            masks: [N, sum(branches)], 1 = allowed; None: everything is.
            memories: before and after the decision, [N, 2, M]; None: the policy has none.
        """
        self._append(_Decided(keys, observations, actions, inputs, masks, memories))
        self.decisions += len(keys)

    def take(self, pending_keys: IntArray, pending_observations: tuple[FloatArray, ...]) -> list[Trajectory]:
        """The trajectories recorded so far. Open ones are cut and go on in the next call.

        Args:
            pending_keys: agents that wait for their next action now.
            pending_observations: what these see: where to bootstrap from. [N, *shape] for each sensor.

        A decision whose outcome is not known yet (the agent neither ended nor asks for the next one) is kept back.
        """
        rows, rewards, endings = self._rows, self._rewards, self._endings
        self._rows, self._endings, self.decisions = _Rows(), {}, 0
        if not rows.keys:
            return []
        table = _Table(rows, rewards[: rows.count].copy())
        self._last_row = {}
        pending = {int(key): i for i, key in enumerate(pending_keys.tolist())}
        trajectories: list[Trajectory] = []
        for stretch in _stretches(table.keys, endings):
            key, last = int(table.keys[stretch[0]]), int(stretch[-1])
            ending, rows_out = endings.get(last), stretch
            if ending is not None:
                final = ending.observations
            elif key in pending:
                final = tuple(value[pending[key]] for value in pending_observations)
            else:
                final = tuple(value[last] for value in table.observations)
                self._keep_back(table, last)
                rows_out = stretch[:-1]
            if len(rows_out):
                trajectories.append(self._trajectory(table, key, rows_out, final, ending))
        return trajectories

    def take_finished(self) -> list[FinishedEpisode]:
        """The episodes that ended in the trajectories taken, each once."""
        finished, self._finished = self._finished, []
        return finished

    def open_keys(self) -> set[int]:
        """Episodes that have begun and not ended."""
        return {*self._last_row, *self._carried}

    def abandon(self, keys: Collection[int] | None = None) -> None:
        """Forget open episodes (all, or those of `keys`), as after a reset; what was recorded of them is dropped."""
        dropped = self.open_keys() if keys is None else set(keys)
        for key in dropped:
            self._carried.pop(key, None)
        if dropped & self._last_row.keys():
            self._drop_rows({self._last_row.pop(key) for key in dropped & self._last_row.keys()})

    def _trajectory(
        self, table: "_Table", key: int, rows: IntArray, final: tuple[FloatArray, ...], ending: _Ending | None
    ) -> Trajectory:
        rewards = table.rewards[rows]
        carried_return, carried_length = self._carried.get(key, (0.0, 0))
        total, length = carried_return + float(rewards.sum(dtype=np.float64)), carried_length + len(rows)
        if ending is None:
            self._carried[key] = (total, length)
        else:
            self._carried.pop(key, None)
            self._finished.append(FinishedEpisode(total, length))
        return Trajectory(
            key=key,
            started_at=carried_length,
            observations=tuple(
                np.concatenate([value[rows], last[None]]) for value, last in zip(table.observations, final, strict=True)
            ),
            actions=table.actions[rows],
            inputs=table.inputs[rows],
            masks=None if table.masks is None else table.masks[rows],
            memories=None if table.memories is None else _before_and_last(table.memories[rows]),
            rewards=rewards,
            terminated=ending is not None and not ending.truncated,
            truncated=ending is not None and ending.truncated,
        )

    def _keep_back(self, table: "_Table", row: int) -> None:
        self._append(table.decided(slice(row, row + 1)))

    def _append(self, decided: "_Decided") -> None:
        rows, first = self._rows, self._rows.count
        rows.keys.append(decided.keys)
        rows.observations.append(decided.observations)
        rows.actions.append(decided.actions)
        rows.inputs.append(decided.inputs)
        rows.masks.append(decided.masks)
        if decided.memories is not None:
            rows.memories.append(decided.memories)
        rows.count = first + len(decided.keys)
        if rows.count > len(self._rewards):
            self._rewards = np.concatenate([self._rewards, np.zeros(max(rows.count, len(self._rewards)), np.float32)])
        self._rewards[first : rows.count] = 0.0
        self._last_row.update(zip(decided.keys.tolist(), range(first, rows.count), strict=True))

    def _rows_of(self, keys: IntArray) -> IntArray:
        last = self._last_row
        return np.array([last.get(key, -1) for key in keys.tolist()], dtype=np.int64)

    def _credit(self, rows: IntArray, rewards: FloatArray) -> None:
        known = rows >= 0
        self._rewards[rows[known]] += rewards[known]

    def _drop_rows(self, last_rows: set[int]) -> None:
        """Drop the stretches that end in these rows."""
        table, endings, open_rows = _Table(self._rows, self._rewards.copy()), self._endings, self._last_row
        keep = np.ones(len(table.keys), dtype=bool)
        for stretch in _stretches(table.keys, endings):
            keep[stretch] = int(stretch[-1]) not in last_rows
        self._rows, self._last_row = _Rows(), {}
        if keep.any():
            self._append(table.decided(keep))
        self._rewards[: self._rows.count] = table.rewards[: len(keep)][keep]
        moved = np.cumsum(keep) - 1
        self._endings = {int(moved[row]): ending for row, ending in endings.items() if keep[row]}
        self._last_row = {key: int(moved[row]) for key, row in open_rows.items()}
        self.decisions = self._rows.count


@dataclass(frozen=True)
class _Decided:
    """One row for each agent that has decided; see `TrajectoryCollector.record`."""

    keys: IntArray
    observations: tuple[FloatArray, ...]
    actions: FloatArray
    inputs: FloatArray
    masks: FloatArray | None
    memories: FloatArray | None


class _Table:
    """Rows, concatenated."""

    def __init__(self, rows: _Rows, rewards: FloatArray) -> None:
        self.keys = np.concatenate(rows.keys)
        self.observations = tuple(np.concatenate(values) for values in zip(*rows.observations, strict=True))
        self.actions = np.concatenate(rows.actions)
        self.inputs = np.concatenate(rows.inputs)
        self.rewards = rewards
        self.memories = np.concatenate(rows.memories) if rows.memories else None
        self.masks: FloatArray | None = None
        given = next((mask for mask in rows.masks if mask is not None), None)
        if given is not None:
            width = given.shape[1]
            self.masks = np.concatenate(
                [
                    np.ones((len(keys), width), dtype=np.float32) if mask is None else mask
                    for mask, keys in zip(rows.masks, rows.keys, strict=True)
                ]
            )

    def decided(self, rows: Any) -> _Decided:
        """Some rows, by an index or mask."""
        return _Decided(
            self.keys[rows],
            tuple(value[rows] for value in self.observations),
            self.actions[rows],
            self.inputs[rows],
            None if self.masks is None else self.masks[rows],
            None if self.memories is None else self.memories[rows],
        )


def _before_and_last(memories: FloatArray) -> FloatArray:
    """[L, 2, M] -> [L + 1, M]."""
    return np.concatenate([memories[:, 0], memories[-1:, 1]])


def _stretches(keys: IntArray, endings: dict[int, _Ending]) -> list[IntArray]:
    """Row numbers of each episode's stretch, in time; in the order in which the stretches began."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    borders = ordered[1:] != ordered[:-1]
    if endings:
        ended = np.zeros(len(keys), dtype=bool)
        ended[list(endings)] = True
        borders |= ended[order[:-1]]
    stretches = np.split(order, np.flatnonzero(borders) + 1)
    return sorted(stretches, key=lambda rows: int(rows[0]))
