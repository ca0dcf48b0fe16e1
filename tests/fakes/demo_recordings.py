"""Records play, of sample builds or any, into `.demo` files as ML-Agents' Demonstration Recorder lays them out."""

import io
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rl_src.envs.batches import Actions, DecisionBatch
from rl_src.envs.client import UnityClient
from rl_src.envs.encoding import encode_varint
from rl_src.envs.protocol import message_class
from rl_src.envs.specs import ActionSpec, BehaviorSpec, ObservationSpec

BRAIN_AT = 33
PNG = 1


@dataclass(frozen=True)
class Moment:
    """What one agent sees, and what it does then; nothing where its episode is over.

    `allowed`: [sum of branches]. `continuous`: in Unity's range.
    """

    observations: tuple[np.ndarray, ...]
    reward: float = 0.0
    allowed: np.ndarray | None = None
    continuous: Sequence[float] = ()
    discrete: Sequence[int] = ()
    done: bool = False


@dataclass(frozen=True)
class Recorded:
    """One agent's play, and the file that it was written into."""

    path: Path
    behavior: BehaviorSpec
    moments: list[Moment]

    def decided(self) -> list[Moment]:
        return [moment for moment in self.moments if not moment.done]


def record(
    program: Path,
    path: Path,
    choose: Callable[[BehaviorSpec, DecisionBatch], Actions],
    *,
    decisions: int,
    seed: int = 0,
    taken_before: bool = False,
) -> Recorded:
    """Play a build with one behavior, follow one agent through its episodes, and write what it saw and did.

    Args:
        program: of the build.
        path: of the .demo file.
        choose: actions for all agents that wait.
        decisions: to write, of the agent that is followed.
        seed: of the scene.
        taken_before: see `write_demo`.
    """
    moments: list[Moment] = []
    followed: int | None = None
    seen: set[int] = set()
    with UnityClient(program, seed=seed, graphics=False) as client:
        steps = client.reset()
        ((name, behavior),) = client.specs.items()
        while True:
            step = steps[name]
            for row in np.flatnonzero(step.terminals.agent_ids == followed):
                last = tuple(values[row] for values in step.terminals.observations)
                moments.append(Moment(last, float(step.terminals.rewards[row]), done=True))
                followed = None
            if sum(not moment.done for moment in moments) >= decisions and followed is None:
                break
            actions = choose(behavior, step.decisions)
            ids = step.decisions.agent_ids
            if followed is None:
                followed = next((int(agent) for agent in ids if int(agent) not in seen), None)
            for row in np.flatnonzero(ids == followed):
                masks = step.decisions.action_mask
                moments.append(
                    Moment(
                        tuple(values[row] for values in step.decisions.observations),
                        float(step.decisions.rewards[row]),
                        None if masks is None else masks[row],
                        actions.continuous[row].tolist(),
                        actions.discrete[row].tolist(),
                    )
                )
            seen.update(ids.tolist())
            steps = client.step({name: actions})
    write_demo(path, behavior, moments, taken_before=taken_before)
    return Recorded(path, behavior, moments)


def write_demo(path: Path, behavior: BehaviorSpec, moments: Sequence[Moment], *, taken_before: bool = False) -> None:
    """Write a .demo file.

    Args:
        path: of the file.
        behavior: its spec.
        moments: in order.
        taken_before: each record has the action before, as Unity itself writes it; otherwise its own one.
    """
    spec = behavior.actions
    nothing = Moment((), continuous=[0.0] * spec.continuous_size, discrete=[0] * len(spec.discrete_branches))
    own = [nothing if moment.done else moment for moment in moments]
    before = [nothing, *own[:-1]]
    ends = sum(moment.done for moment in moments)
    meta = message_class("DemonstrationMetaProto")(
        api_version=1, demonstration_name="Recorded", number_steps=len(moments), number_episodes=ends
    )
    head = delimited(meta)
    assert len(head) <= BRAIN_AT
    content = [head.ljust(BRAIN_AT, b"\0"), delimited(_brain(behavior))]
    ids = itertools.accumulate([0, *(moment.done for moment in moments[:-1])])
    for moment, action, agent_id in zip(moments, before if taken_before else own, ids, strict=True):
        content.append(delimited(_pair(behavior, moment, action, agent_id)))
    path.write_bytes(b"".join(content))


def delimited(message: Any) -> bytes:
    serialized = message.SerializeToString()
    return encode_varint(len(serialized)) + serialized


def _brain(behavior: BehaviorSpec) -> Any:
    brain = message_class("BrainParametersProto")(brain_name=behavior.name)
    brain.action_spec.num_continuous_actions = behavior.actions.continuous_size
    brain.action_spec.num_discrete_actions = len(behavior.actions.discrete_branches)
    brain.action_spec.discrete_branch_sizes.extend(behavior.actions.discrete_branches)
    return brain


def _pair(behavior: BehaviorSpec, moment: Moment, action: Moment, agent_id: int) -> Any:
    pair = message_class("AgentInfoActionPairProto")()
    info = pair.agent_info
    info.reward, info.done, info.id = moment.reward, moment.done, agent_id
    if moment.allowed is not None:
        info.action_mask.extend([not item for item in moment.allowed])
    for sensor, values in zip(behavior.observations, moment.observations, strict=True):
        _observe(info.observations.add(), sensor, values)
    pair.action_info.continuous_actions.extend(action.continuous)
    pair.action_info.discrete_actions.extend(action.discrete)
    return pair


def _observe(sent: Any, sensor: ObservationSpec, values: np.ndarray) -> None:
    sent.name = sensor.name
    sent.shape.extend(sensor.shape)
    sent.dimension_properties.extend(int(item) for item in sensor.properties)
    sent.observation_type = int(sensor.is_goal)
    if sensor.is_image and sensor.shape[0] == 3:
        buffer = io.BytesIO()
        Image.fromarray(np.rint(values * 255).astype(np.uint8).transpose(1, 2, 0)).save(buffer, "PNG")
        sent.compression_type, sent.compressed_data = PNG, buffer.getvalue()
    else:
        sent.compression_type = 0
        sent.float_data.data.extend(values.ravel().tolist())


def right_going(behavior: BehaviorSpec, waiting: DecisionBatch) -> Actions:
    """Of Basic: to the large goal."""
    return Actions(np.zeros((len(waiting), 0), np.float32), np.full((len(waiting), 1), 2, np.int32))


def at_random(seed: int) -> Callable[[BehaviorSpec, DecisionBatch], Actions]:
    """Plays anything, and obeys masks."""
    numbers = np.random.default_rng(seed)

    def choose(behavior: BehaviorSpec, waiting: DecisionBatch) -> Actions:
        spec: ActionSpec = behavior.actions
        continuous = numbers.uniform(-1, 1, (len(waiting), spec.continuous_size)).astype(np.float32)
        lots = numbers.random((len(waiting), sum(spec.discrete_branches)))
        if waiting.action_mask is not None:
            lots[~waiting.action_mask] = -1.0
        bounds = np.cumsum([0, *spec.discrete_branches])
        choices = [lots[:, a:b].argmax(axis=1) for a, b in itertools.pairwise(bounds)]
        discrete = np.stack(choices, axis=1) if choices else np.zeros((len(waiting), 0))
        return Actions(continuous, discrete.astype(np.int32))

    return choose


def basic_going_right(path: Path, behavior: BehaviorSpec, episodes: int = 1, *, taken_before: bool = False) -> None:
    """A recording of Basic (positions 0 to 19 one-hot, start 10, goal 17) without a build."""
    seen = np.eye(20, dtype=np.float32)
    episode = [Moment((seen[place],), -0.01, discrete=[2]) for place in range(10, 17)]
    write_demo(path, behavior, [*episode, Moment((seen[17],), 0.99, done=True)] * episodes, taken_before=taken_before)
