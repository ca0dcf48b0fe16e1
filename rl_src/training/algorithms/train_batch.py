"""RLlib episodes to PPO's train batch, as one learner connector.

RLlib's default pipeline goes through Python lists timestep by timestep, and adds an artificial timestep to each episode
that then counts in the advantages' mean and deviation. Here episodes are concatenated as arrays and bootstrap values
are computed in the same forward pass as all others.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from ray.rllib.connectors.connector_v2 import ConnectorV2
from ray.rllib.core.columns import Columns
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.evaluation.postprocessing import Postprocessing

from rl_src.training.algorithms.placement import joined, portions
from rl_src.training.algorithms.sequences import PADDING, sequence_rows
from rl_src.training.networks.rl_module import ACTION_MASK, DECIDED, MEMORY

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]

SEQUENCES = "sequences"
"""Batch column of policies with memory: which rows follow each other. On the CPU, wherever the rest is."""


def generalized_advantages(
    rewards: FloatArray, values: FloatArray, terminated: bool, gamma: float, lambda_: float
) -> FloatArray:
    """Advantages of one stretch (Schulman et al., arXiv:1506.02438): [L], [L + 1] -> [L].

    `values` has one entry more than `rewards`: the value of the last observation. It counts when the stretch was cut or
    truncated, and is 0 when the episode terminated.
    """
    following = values[1:].astype(np.float64)
    if terminated:
        following[-1] = 0.0
    errors = rewards + gamma * following - values[:-1]
    advantages = np.empty(len(rewards), dtype=np.float32)
    running = 0.0
    for t in range(len(rewards) - 1, -1, -1):
        running = errors[t] + gamma * lambda_ * running
        advantages[t] = running
    return advantages


class EpisodesToTrainBatch(ConnectorV2):
    """Fills the module's batch with tensors, one row a decision.

    Columns: OBS (a tuple, one tensor for each sensor), ACTIONS, ACTION_LOGP, ADVANTAGES (standardised over the batch),
    VALUE_TARGETS (in the reward's units), VF_PREDS, and ACTION_MASK where the build sends masks. With a memory also
    MEMORY, and SEQUENCES: [S, T] row numbers, T at most `sequence_length`, see `sequences`.
    """

    def __init__(self, *, module_id: str, gamma: float, lambda_: float, sequence_length: int = 1) -> None:
        super().__init__()
        self._module_id = module_id
        self._gamma = gamma
        self._lambda = lambda_
        self._sequence_length = sequence_length

    def __call__(  # type: ignore[override]
        self, *, rl_module: Any, batch: dict[str, Any], episodes: list[SingleAgentEpisode], **kwargs: Any
    ) -> dict[str, Any]:
        """Concatenate, value, and estimate advantages."""
        module = rl_module[self._module_id].unwrapped()
        device = next(module.parameters()).device
        lengths = [len(episode) for episode in episodes]
        observations = [
            joined(values, device) for values in zip(*(episode.observations.data for episode in episodes), strict=True)
        ]
        seen: dict[str, Any] = {Columns.OBS: observations}
        memories: torch.Tensor | None = None
        if MEMORY in episodes[0].custom_data:
            memories = torch.from_numpy(np.concatenate([item.custom_data[MEMORY] for item in episodes])).to(device)
            seen |= self._in_sequences(memories, [length + 1 for length in lengths])
        values = _values(module, seen, device)
        decided = _decided_rows(lengths)
        rows = torch.from_numpy(decided).to(device)
        columns = {
            Columns.ACTIONS: np.concatenate([episode.actions.data for episode in episodes]),
            Columns.ACTION_LOGP: np.concatenate([_output(episode, Columns.ACTION_LOGP) for episode in episodes]),
            **self._credit(episodes, values, lengths, decided),
        }
        masks = concatenated_masks(episodes)
        if masks is not None:
            columns[ACTION_MASK] = masks
        filled: dict[str, Any] = {name: torch.from_numpy(value).to(device) for name, value in columns.items()}
        filled[Columns.OBS] = tuple(value[rows] for value in observations)
        if memories is not None:
            filled[MEMORY] = memories[rows]
            filled[SEQUENCES] = torch.from_numpy(sequence_rows(lengths, self._sequence_length))
        batch[self._module_id] = filled
        return batch

    def _in_sequences(self, memories: torch.Tensor, lengths: Sequence[int]) -> dict[str, torch.Tensor]:
        """Columns to value observations with, unrolled as they are learned from.

        Only a sequence's first memory is what was remembered when it was played. The ones between are made anew: those
        that were kept are of older weights, and the present ones read them otherwise. On Hallway the values differed by
        a fifth to a third of their deviation.
        """
        sequences = torch.from_numpy(sequence_rows(lengths, self._sequence_length)).to(memories.device)
        return {MEMORY: memories[sequences[:, 0]], DECIDED: sequences != PADDING}

    def _credit(
        self, episodes: list[SingleAgentEpisode], values: FloatArray, lengths: list[int], decided: IntArray
    ) -> dict[str, Any]:
        """Columns that tell what the decisions were worth; `decided`: their rows among the observations, [N]."""
        advantages = self._advantages(episodes, values, lengths)
        return {
            Columns.VF_PREDS: values[decided],
            Postprocessing.VALUE_TARGETS: advantages + values[decided],
            Postprocessing.ADVANTAGES: (advantages - advantages.mean()) / max(1e-6, float(advantages.std())),
        }

    def _advantages(self, episodes: list[SingleAgentEpisode], values: FloatArray, lengths: list[int]) -> FloatArray:
        pieces, start = [], 0
        for episode, length in zip(episodes, lengths, strict=True):
            own = values[start : start + length + 1]
            pieces.append(
                generalized_advantages(
                    np.asarray(episode.rewards.data), own, episode.is_terminated, self._gamma, self._lambda
                )
            )
            start += length + 1
        return np.concatenate(pieces)


@torch.no_grad()
def _values(module: Any, seen: Mapping[str, Any], device: torch.device) -> FloatArray:
    """Of all observations, in the reward's units: [M]."""
    observations = seen[Columns.OBS]
    if MEMORY in seen:
        found = [module.compute_values(seen)]
    else:
        parts = ([value[rows] for value in observations] for rows in portions(len(observations[0]), device))
        found = [module.compute_values({Columns.OBS: part}) for part in parts]
    values: FloatArray = torch.cat(found).cpu().numpy()
    return values


def _decided_rows(lengths: Sequence[int]) -> IntArray:
    """Rows of L + 1 observations each, without each episode's last."""
    keep = np.ones(sum(lengths) + len(lengths), dtype=bool)
    keep[np.cumsum([length + 1 for length in lengths]) - 1] = False
    return np.flatnonzero(keep)


def _output(episode: SingleAgentEpisode, name: str) -> FloatArray:
    return np.asarray(episode.extra_model_outputs[name].data)


def concatenated_masks(episodes: Sequence[SingleAgentEpisode]) -> FloatArray | None:
    """Of all decisions, [N, sum(branches)]; None where everything is allowed."""
    given = next((item for item in episodes if ACTION_MASK in item.extra_model_outputs), None)
    if given is None:
        return None
    width = _output(given, ACTION_MASK).shape[1]
    return np.concatenate(
        [
            _output(episode, ACTION_MASK)
            if ACTION_MASK in episode.extra_model_outputs
            else np.ones((len(episode), width), dtype=np.float32)
            for episode in episodes
        ]
    )
