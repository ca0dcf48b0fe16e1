"""Values of a policy with memory: unrolled by the weights that learn, from what a sequence began with in play."""

import numpy as np
import pytest
import torch
from ray.rllib.core.columns import Columns
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.env.utils.infinite_lookback_buffer import InfiniteLookbackBuffer
from ray.rllib.evaluation.postprocessing import Postprocessing

from rl_src.envs.specs import ActionSpec, ObservationSpec
from rl_src.training.algorithms.sequences import PADDING
from rl_src.training.algorithms.train_batch import SEQUENCES, EpisodesToTrainBatch
from rl_src.training.networks.network import PolicyNetwork
from rl_src.training.networks.rl_module import MEMORY, ActorCriticModule
from rl_src.training.settings.config import Memory, ResolvedNetwork

POSITION, ACTIONS = ObservationSpec("position", (3,)), ActionSpec(0, (2,))
NETWORK = ResolvedNetwork((8,), "tanh", False, memory=Memory(5, 4))
SEQUENCE = 4


def module() -> ActorCriticModule:
    return ActorCriticModule(
        observation_space=None,
        action_space=None,
        inference_only=False,
        model_config={"observations": [POSITION], "actions": ACTIONS, "network": NETWORK},
    )


def play(network: PolicyNetwork, length: int, seed: int, *, terminated: bool = False) -> SingleAgentEpisode:
    """As `sampler` makes them: memories are those of the network that plays."""
    rng = np.random.default_rng(seed)
    observations = rng.standard_normal((length + 1, 3)).astype(np.float32)
    memories = [torch.zeros(1, network.memory_size)]
    for row in range(length):
        _, after = network.step([torch.from_numpy(observations[row : row + 1])], memories[-1])
        assert after is not None
        memories.append(after.detach())
    episode = SingleAgentEpisode(
        observations=InfiniteLookbackBuffer((observations,)),
        actions=InfiniteLookbackBuffer(np.zeros((length, 1), dtype=np.float32)),
        rewards=InfiniteLookbackBuffer(rng.standard_normal(length).astype(np.float32)),
        terminated=terminated,
        extra_model_outputs={Columns.ACTION_LOGP: np.zeros(length, dtype=np.float32)},
        len_lookback_buffer=0,
    )
    episode.custom_data[MEMORY] = torch.cat(memories).numpy()
    return episode


def batch_of(episodes: list[SingleAgentEpisode], learner: ActorCriticModule, lambda_: float = 0.9):
    connector = EpisodesToTrainBatch(module_id="it", gamma=0.5, lambda_=lambda_, sequence_length=SEQUENCE)
    return connector(rl_module={"it": learner}, batch={}, episodes=episodes)["it"]


def learned_from(batch, learner: ActorCriticModule) -> torch.Tensor:
    """What the critic says of the batch's decisions where it learns, in the reward's units."""
    sequences = batch[SEQUENCES]
    assert learner.network.critic is not None
    _, values = learner.network.evaluate(
        list(batch[Columns.OBS]), None, batch[MEMORY][sequences[:, 0]], sequences != PADDING
    )
    return learner.network.critic.in_reward_units(values)


@pytest.mark.parametrize("lengths", [(3,), (4,), (9, 1, 8)])
def test_decisions_are_valued_as_they_are_learned_from_though_others_weights_played(lengths):
    torch.manual_seed(3)
    learner, player = module(), module().network
    batch = batch_of([play(player, length, seed) for seed, length in enumerate(lengths)], learner)
    torch.testing.assert_close(batch[Columns.VF_PREDS], learned_from(batch, learner))
    memories = np.concatenate(
        [play(player, length, seed).custom_data[MEMORY][:-1] for seed, length in enumerate(lengths)]
    )
    torch.testing.assert_close(batch[MEMORY], torch.from_numpy(memories))  # of every decision, as it was played


@pytest.mark.parametrize("length", [4, 6])
def test_what_a_cut_stretch_leads_to_is_valued_after_its_decisions(length):
    """The last observation counts through its value alone: lambda 0, and the target is r + gamma V(last)."""
    torch.manual_seed(4)
    learner = module()
    episode = play(learner.network, length, 0)  # the same weights play and learn: nothing is to differ
    batch = batch_of([episode], learner, lambda_=0.0)
    last = torch.from_numpy(episode.observations.data[0][-1:])
    value = learner.network.values([last], torch.from_numpy(episode.custom_data[MEMORY][-1:])).detach()
    expected = float(episode.rewards.data[-1]) + 0.5 * float(value)
    assert float(batch[Postprocessing.VALUE_TARGETS][-1]) == pytest.approx(expected, abs=1e-5)


def test_weights_that_play_and_learn_value_as_they_stepped():
    torch.manual_seed(5)
    learner = module()
    episode = play(learner.network, 7, 1, terminated=True)
    batch = batch_of([episode], learner)
    seen, memories = (torch.from_numpy(item) for item in (episode.observations.data[0], episode.custom_data[MEMORY]))
    torch.testing.assert_close(batch[Columns.VF_PREDS], learner.network.values([seen[:-1]], memories[:-1]))
