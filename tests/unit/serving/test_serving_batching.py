"""What arrives together is asked together, and answered as if it had been asked alone."""

import asyncio

import numpy as np
import pytest

from rl_src.serving.artifact import ServedPolicy, load_artifact
from rl_src.serving.batching import MOST_AGENTS, Actions, Batcher
from rl_src.serving.codec import Invocation
from rl_src.serving.onnx_policy import Feed
from rl_src.serving.questions import Question, ask
from tests.fakes.onnx_policies import write_linear_policy, write_manifest, write_summing_policy


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> ServedPolicy:
    folder = tmp_path_factory.mktemp("artifact")
    write_summing_policy(folder / "policies" / "Summing.onnx")
    write_linear_policy(folder / "policies" / "Linear.onnx", np.eye(3, dtype=np.float32))
    return load_artifact(write_manifest(folder, {"Summing": (2,), "Linear": (3,)}))


def summing(served: ServedPolicy, agents: int, start: float) -> Question:
    observations = [[start + agent, 0.0] for agent in range(agents)]
    memory = [[100.0, start]] * agents
    return ask(served, Invocation([observations], "Summing", memory=memory))


def linear(served: ServedPolicy, deterministic: bool) -> Question:
    return ask(served, Invocation([[[0, 1, 0]]], "Linear", deterministic=deterministic))


async def answers_to(questions: list[Question]) -> tuple[list[Actions | Exception], list[tuple[int, int]]]:
    """In the questions' order; and how the model was called, requests and agents."""
    calls: list[tuple[int, int]] = []
    batcher = Batcher(lambda requests, agents: calls.append((requests, agents)))
    found: dict[int, Actions | Exception] = {}
    for index, question in enumerate(questions):
        batcher.ask(question, lambda actions, index=index: found.__setitem__(index, actions))
    while len(found) < len(questions):
        await asyncio.sleep(0)
    return [found[index] for index in range(len(questions))], calls


async def test_each_gets_its_own_rows_and_memory(served: ServedPolicy) -> None:
    sizes = [1, 3, 2, 1]
    questions = [summing(served, size, 10.0 * index) for index, size in enumerate(sizes)]
    found, calls = await answers_to(questions)
    assert calls == [(4, 7)]
    for index, (size, actions) in enumerate(zip(sizes, found, strict=True)):
        assert not isinstance(actions, Exception)
        continuous, discrete, memory = actions
        expected = [[100.0 + 10 * index + agent, 10.0 * index] for agent in range(size)]
        assert continuous.tolist() == memory.tolist() == expected
        assert discrete.shape == (size, 0)


async def test_behaviors_and_ways_of_choosing_are_not_mixed(served: ServedPolicy) -> None:
    questions = [linear(served, True), linear(served, False), summing(served, 1, 0.0), linear(served, True)]
    found, calls = await answers_to(questions)
    assert sorted(calls) == [(1, 1), (1, 1), (2, 2)]
    actions = [one[1].tolist() for one in found if not isinstance(one, Exception)]
    assert actions == [[[1]], [[2]], [[]], [[1]]]  # the sampled one is always the last, see write_linear_policy


async def test_a_batch_is_no_larger_than_pays(served: ServedPolicy) -> None:
    sizes = [600, 600, 400, 3000, 5]
    found, calls = await answers_to([summing(served, size, 0.0) for size in sizes])
    assert [one[0].shape[0] for one in found if not isinstance(one, Exception)] == sizes
    assert calls == [(1, 600), (2, 1000), (1, 3000), (1, 5)]
    assert all(agents <= MOST_AGENTS for requests, agents in calls if requests > 1)


async def test_a_lone_question_waits_for_nobody(served: ServedPolicy) -> None:
    for _ in range(3):
        _, calls = await answers_to([linear(served, True)])
        assert calls == [(1, 1)]


async def test_what_goes_wrong_with_one_does_not_with_others(
    served: ServedPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = served.behaviors["Summing"].policy
    run = policy.run

    def fragile(feed: Feed, deterministic: bool = True) -> Actions:
        if (feed.inputs["obs_0"][:, 0] == 13).any():
            raise RuntimeError("unlucky")
        return run(feed, deterministic)

    monkeypatch.setattr(policy, "run", fragile)
    found, calls = await answers_to([summing(served, 1, start) for start in (12.0, 13.0, 14.0)])
    assert [isinstance(one, RuntimeError) for one in found] == [False, True, False]
    assert calls == [(1, 1), (1, 1)]
