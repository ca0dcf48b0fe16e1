"""Where learning goes on: what is chosen and refused, that only the device changes, and that it is not waited for."""

import dataclasses
import math
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from ray.rllib.core.columns import Columns
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.env.utils.infinite_lookback_buffer import InfiniteLookbackBuffer

from rl_src.envs.specs import ActionSpec, BehaviorSpec, ObservationSpec
from rl_src.training.algorithms.divergence import FiniteSteps
from rl_src.training.algorithms.learners import Learner, make_learner
from rl_src.training.algorithms.placement import with_bytes
from rl_src.training.algorithms.ppo import PPO
from rl_src.training.algorithms.remote_learner import RemoteLearner
from rl_src.training.errors import InvalidTrainingConfigError, TrainingDivergedError
from rl_src.training.networks.rl_module import ACTION_MASK, MEMORY
from rl_src.training.sampling.groups import GROUP, GroupStretch
from rl_src.training.settings import machine
from rl_src.training.settings.config import (
    CuriositySettings,
    Hyperparameters,
    Memory,
    Network,
    ResolvedBehavior,
    StopRule,
    TrainingConfig,
)
from rl_src.training.settings.machine import learning_device
from rl_src.training.settings.presets import resolve
from rl_src.training.trainer import train
from tests.fakes.pretended_gpu import DEVICE, PretendedGpu

SEER = BehaviorSpec(
    "Seer?team=0", (ObservationSpec("camera", (3, 20, 20)), ObservationSpec("seen", (3,))), ActionSpec(2, (3, 2))
)
LENGTH, EPISODES = 8, 12
BATCH = LENGTH * EPISODES
KINDS: dict[str, dict[str, Any]] = {
    "PPO": {"algorithm": "PPO"},
    "memory": {"algorithm": "PPO", "network": Network(hidden_sizes=(16,), memory=Memory(size=8, sequence_length=4))},
    "curiosity": {"algorithm": "PPO", "curiosity": CuriositySettings("icm")},
    "APPO": {"algorithm": "APPO"},
    "SAC": {"algorithm": "SAC"},
    "poca": {"algorithm": "poca"},
}

needs_gpu = pytest.mark.skipif(
    not torch.cuda.is_available(),
    reason="NOT TESTED: torch finds no GPU on this machine, so nothing was learned on one",
)


def config(kind: str, device: str = "cpu", **hyperparameters: Any) -> ResolvedBehavior:
    """`device` need not be there."""
    chosen = {"network": Network(hidden_sizes=(16,)), **KINDS[kind]}
    more = {"learning_starts": 0, "updates_per_step": 0.04} if chosen["algorithm"] == "SAC" else {"num_epochs": 2}
    given = {"train_batch_size": BATCH, "minibatch_size": BATCH // 4, **more, **hyperparameters}
    asked = Hyperparameters(device="cpu", **given)
    own = TrainingConfig(None, hyperparameters=asked, stop=StopRule(env_steps=10_000), **chosen)  # type: ignore[arg-type]
    resolved = resolve(own, SEER, 1)
    return dataclasses.replace(resolved, hyperparameters=dataclasses.replace(resolved.hyperparameters, device=device))


def episodes(resolved: ResolvedBehavior, seed: int = 0, reward: float = 1.0) -> list[SingleAgentEpisode]:
    """Of pictures, vectors, hybrid actions and masks; two of each group."""
    rng = np.random.default_rng(seed)
    memory = resolved.network.memory
    made = []
    for number in range(EPISODES):
        pictures = rng.integers(256, size=(LENGTH + 1, 3, 20, 20), dtype=np.uint8).astype(np.float32) / np.float32(255)
        seen = rng.normal(size=(LENGTH + 1, 3)).astype(np.float32)
        chosen = rng.integers((3, 2), size=(LENGTH, 2))
        masks = np.ones((LENGTH, 5), np.float32)
        masks[np.arange(LENGTH), (chosen[:, 0] + 1) % 3] = 0.0
        episode = SingleAgentEpisode(
            observations=InfiniteLookbackBuffer((pictures, seen)),
            actions=InfiniteLookbackBuffer(
                np.concatenate([rng.normal(size=(LENGTH, 2)), chosen], 1).astype(np.float32)
            ),
            rewards=InfiniteLookbackBuffer((reward * rng.normal(size=LENGTH)).astype(np.float32)),
            terminated=bool(number % 2),
            extra_model_outputs={Columns.ACTION_LOGP: np.full(LENGTH, -3.0, np.float32), ACTION_MASK: masks},
            len_lookback_buffer=0,
        )
        if memory is not None:
            episode.custom_data[MEMORY] = rng.normal(size=(LENGTH + 1, 2 * memory.size)).astype(np.float32)
        episode.custom_data[GROUP] = GroupStretch(
            number // 2, np.arange(LENGTH + 1), np.zeros(LENGTH, np.float32), group_goes_on=False
        )
        made.append(episode)
    return made


def all_numbers(learner: Learner) -> dict[str, Any]:
    state, arrays = learner.state()
    return {**learner.weights(), **arrays, "state": state}


def assert_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(value, other[name], err_msg=name)
        else:
            assert value == other[name]


# What is chosen


def test_learning_is_on_the_gpu_where_there_is_one(monkeypatch):
    for there, found in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert learning_device() == learning_device("auto") == found
        assert learning_device("cpu") == "cpu"
        asked = TrainingConfig(None, network=Network(hidden_sizes=(16,)), stop=StopRule(env_steps=1))  # type: ignore[arg-type]
        assert resolve(asked, SEER, 1).hyperparameters.device == found


@pytest.mark.parametrize(
    ("device", "found", "cuda", "said"),
    [
        (False, False, "13.0", ""),
        (True, True, "13.0", ""),
        (True, False, None, "built for CPUs"),
        (True, False, "13.0", "built for CUDA 13.0, which may want a later driver"),
    ],
)
def test_a_gpu_that_is_there_and_not_used_is_told_of_with_its_reason(monkeypatch, tmp_path, device, found, cuda, said):
    if device:
        (tmp_path / "nvidia0").touch()
    monkeypatch.setattr(machine, "_GPU", tmp_path / "nvidia0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: found)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    why = machine.why_gpu_is_idle()
    assert said in why
    assert bool(why) == bool(said)


def test_a_gpu_that_is_not_there_is_refused_before_a_build_starts(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InvalidTrainingConfigError) as refused:
        train(
            TrainingConfig(tmp_path / "nothing.x86_64", hyperparameters=Hyperparameters(device="cuda")),
            model_dir=tmp_path, checkpoint_dir=tmp_path, work_dir=tmp_path,
            report=lambda line: None, stop_requested=lambda: False,
        )  # fmt: skip
    assert "hyperparameters.device is cuda" in refused.value.cause
    assert "instances.instance_type" in refused.value.remedy


@pytest.mark.parametrize("kind", ["SAC", "poca"])
def test_a_precision_is_refused_where_nothing_would_come_of_it(kind):
    with pytest.raises(InvalidTrainingConfigError, match=r"hyperparameters\.precision is PPO's"):
        config(kind, precision="bfloat16")


# What does not change


@pytest.mark.parametrize("kind", ["PPO", "memory", "curiosity", "APPO", "poca"])
def test_pictures_as_bytes_are_learned_from_alike(kind, monkeypatch):
    """On the CPU floats and bytes are the same numbers, so that all that comes of them is.

    To the last bit by one thread: several do not always add in the same order.
    """
    one_thread = partial(torch.set_num_threads, 1)
    monkeypatch.setattr(torch, "set_num_threads", lambda _number: one_thread())
    told, found = [], []
    for prepare in (list, lambda items: with_bytes(items, SEER.observations)):
        learner = make_learner(config(kind), SEER, None)
        told.append(learner.learn(prepare(episodes(config(kind))), 96))
        found.append(all_numbers(learner))
        learner.close()
    assert told[0] == told[1]
    assert_same(*found)


def test_a_learner_of_another_process_is_sent_bytes_if_it_is_on_a_gpu():
    class Listener:
        def call(self, name: str, method: str, *arguments: Any) -> Any:
            self.heard = arguments
            return source.weights() if method == "make" else ({}, source.weights())

    resolved = config("PPO")
    source, played = make_learner(resolved, SEER, None), episodes(resolved)
    for device, kind, sent in (("cpu", "PPO", np.float32), ("cuda", "PPO", np.uint8)):
        listener = Listener()
        remote = RemoteLearner(listener, config(kind, device), SEER, None)  # type: ignore[arg-type]
        remote.learn(played, 96)
        assert [item.observations.data[0].dtype for item in listener.heard[0]] == [sent] * EPISODES
        assert {value.device.type for value in remote.acting.state_dict().values()} == {"cpu"}


def test_looking_late_changes_no_number():
    found = []
    for at_once in (True, False):
        learner = make_learner(config("PPO"), SEER, None)
        assert isinstance(learner, PPO)
        learner.learner._finite._looks_at_once = at_once
        for turn in range(3):
            learner.learn(episodes(config("PPO"), seed=turn), 96 * (turn + 1))
        found.append(all_numbers(learner))
    assert_same(*found)


@pytest.mark.parametrize("at_once", [True, False])
def test_an_update_that_is_not_finite_is_taken_back(at_once):
    learner = make_learner(config("PPO"), SEER, None)
    assert isinstance(learner, PPO)
    learner.learner._finite._looks_at_once = at_once
    learner.learn(episodes(config("PPO")), 96)
    before = all_numbers(learner)
    with pytest.raises(TrainingDivergedError, match=r"the loss \(nan\) or its gradient \(nan\)"):
        learner.learn(episodes(config("PPO"), reward=math.nan), 192)
    after = all_numbers(learner)
    for name in (*(name for name in before if name.startswith("network.actor")), "mean", "square"):
        np.testing.assert_array_equal(before[name], after[name], err_msg=name)
    assert before["state"] == after["state"]


def test_of_many_steps_the_first_wrong_one_is_told():
    finite = FiniteSteps([], looks_at_once=False, cause="{:g} and {:g}")
    update = finite.of_update()
    update.__enter__()
    for numbers in ((1.0, 2.0), (3.0, math.inf), (math.nan, math.nan)):
        finite.look(*map(torch.tensor, numbers))
    with pytest.raises(TrainingDivergedError, match="3 and inf"):
        update.__exit__(None, None, None)
    with finite.of_update():  # what was wrong is over
        finite.look(torch.tensor(1.0), torch.tensor(1.0))


# Fewer digits


@pytest.mark.parametrize("kind", ["PPO", "APPO", "memory", "curiosity"])
def test_bfloat16_is_near_and_keeps_weights_in_float32(kind):
    told, found = {}, {}
    for precision in ("float32", "bfloat16"):
        learner = make_learner(config(kind, precision=precision), SEER, None)
        told[precision] = learner.learn(episodes(config(kind)), 96)
        found[precision] = learner.weights()
        learner.close()
    for name, value in told["float32"].items():
        assert told["bfloat16"][name] == pytest.approx(value, rel=0.1, abs=0.02), name
    assert told["bfloat16"] != told["float32"]
    for name, value in found["float32"].items():
        assert found["bfloat16"][name].dtype == value.dtype
        np.testing.assert_allclose(found["bfloat16"][name], value, atol=0.02, err_msg=name)


# On a GPU


def assert_near(one: dict[str, Any], other: dict[str, Any], *, within: float) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        if isinstance(value, np.ndarray):
            np.testing.assert_allclose(value, other[name], rtol=within, atol=within, err_msg=name)


@pytest.mark.filterwarnings("ignore:for .* copying from a non-meta parameter")  # which the device is not
@pytest.mark.parametrize("kind", KINDS)
def test_a_pretended_gpu_learns_what_the_cpu_does_and_takes_over_its_checkpoint(kind):
    """From the CPU's first update to the device's second one, and back to the CPU's third."""
    here = make_learner(config(kind), SEER, None)
    for turn in range(3):
        here.learn(episodes(config(kind), turn), BATCH * (turn + 1))
    moved = make_learner(config(kind), SEER, None)
    moved.learn(episodes(config(kind), 0), BATCH)
    with PretendedGpu():
        there = make_learner(config(kind, DEVICE.type), SEER, None)
        there.set_weights(moved.weights())
        there.set_state(*moved.state())
        assert_same(all_numbers(moved), all_numbers(there))
        there.learn(episodes(config(kind), 1), 2 * BATCH)
        weights, state = there.weights(), there.state()
        there.synchronize()
        assert {value.device.type for value in there.acting.state_dict().values()} == {"cpu"}
    moved.set_weights(weights)
    moved.set_state(*state)
    moved.learn(episodes(config(kind), 2), 3 * BATCH)
    assert_near(all_numbers(here), all_numbers(moved), within=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_no_minibatch_waits_for_the_gpu(kind):
    """More of them are not waited for more often."""
    waits = []
    for times in (1, 3):
        more = {"updates_per_step": 0.04 * times} if kind == "SAC" else {"num_epochs": times}
        with PretendedGpu() as gpu:
            learner = make_learner(config(kind, DEVICE.type, **more), SEER, None)
            learner.learn(episodes(config(kind)), BATCH)
            gpu.waits.clear()
            learner.learn(episodes(config(kind)), 2 * BATCH)
        waits.append(sorted(gpu.waits))
    assert waits[0] == waits[1]


@needs_gpu
@pytest.mark.parametrize("kind", KINDS)
def test_a_gpu_learns_what_the_cpu_does_and_takes_over_its_checkpoint(kind):
    here, there = (make_learner(config(kind, device), SEER, None) for device in ("cpu", "cuda"))
    here.learn(episodes(config(kind), 0), BATCH)
    for first, second in ((here, there), (there, here)):
        second.set_weights(first.weights())
        second.set_state(*first.state())
        assert_same(all_numbers(first), all_numbers(second))
        for learner in (first, second):
            learner.learn(episodes(config(kind), 1), 2 * BATCH)
        assert_near(all_numbers(first), all_numbers(second), within=1e-2)


@needs_gpu
def test_bfloat16_on_a_gpu_learns_what_the_cpu_does():
    told = [
        make_learner(config("PPO", device, precision="bfloat16"), SEER, None).learn(episodes(config("PPO")), BATCH)
        for device in ("cpu", "cuda")
    ]
    assert told[1] == {name: pytest.approx(value, rel=0.1, abs=0.02) for name, value in told[0].items()}
