"""APPO: PPO's update on what any older policy has played. IMPALA's architecture and V-trace, PPO's clipped objective.

Builds play on while updates wait for the learner (`updates`), so how old a batch's policy is depends on which of both
is slower. V-trace makes targets and advantages from it that hold for the present policy. The objective is the
decoupled one that PPO has here too (`objective.importance`): weighted by how much likelier a decision is at the
update's beginning than when it was played, cut off at `vtrace_clip_pg_rho_threshold` as in V-trace's policy gradient,
and clipped around the update's beginning. That policy does what a target network does in IMPACT (arXiv:1912.00167).
"""

from typing import Any

import numpy as np
import torch
from ray.rllib.core.columns import Columns
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.evaluation.postprocessing import Postprocessing

from rl_src.training.algorithms.learner import PROXIMAL_LOGP, Batch, UnityPPOLearner
from rl_src.training.algorithms.objective import standardized
from rl_src.training.algorithms.train_batch import EpisodesToTrainBatch, FloatArray, IntArray
from rl_src.training.algorithms.vtrace import vtrace
from rl_src.training.settings.config import ResolvedAppo

FOLLOWING, LAST = "following", "last"
"""Columns of the batch, [N] each: value of the next observation, 0 after an end; whether a stretch goes no further."""


class EpisodesToFragments(EpisodesToTrainBatch):
    """What V-trace needs instead of advantages: columns REWARDS, VF_PREDS, FOLLOWING and LAST."""

    def _credit(
        self, episodes: list[SingleAgentEpisode], values: FloatArray, lengths: list[int], decided: IntArray
    ) -> dict[str, Any]:
        ends = np.cumsum(lengths) - 1
        following = values[decided + 1]
        following[ends[[episode.is_terminated for episode in episodes]]] = 0.0
        last = np.zeros(len(decided), dtype=bool)
        last[ends] = True
        return {
            Columns.REWARDS: np.concatenate([np.asarray(item.rewards.data, dtype=np.float32) for item in episodes]),
            Columns.VF_PREDS: values[decided],
            FOLLOWING: following,
            LAST: last,
        }


class UnityAPPOLearner(UnityPPOLearner):
    """PPO's learner, with targets and advantages of the policy that the update begins with.

    `learner_config_dict`: `settings` (ResolvedAppo), beside what PPO's has.
    """

    def build(self) -> None:
        """Build, with V-trace's thresholds."""
        super().build()
        settings = self.config.learner_config_dict["settings"]
        assert isinstance(settings, ResolvedAppo)
        self.max_importance = settings.vtrace_clip_pg_rho_threshold
        self._settings = settings

    def _credited(self, batch: Batch) -> Batch:
        used = {name: batch[name].cpu().numpy() for name in (Columns.REWARDS, Columns.VF_PREDS, FOLLOWING, LAST)}
        found = vtrace(
            used[Columns.REWARDS],
            used[Columns.VF_PREDS],
            used[FOLLOWING],
            used[LAST],
            (batch[PROXIMAL_LOGP] - batch[Columns.ACTION_LOGP]).cpu().numpy(),
            gamma=self._settings.gamma,
            lambda_=self._settings.lambda_,
            clip_rho=self._settings.vtrace_clip_rho_threshold,
        )
        device = batch[Columns.VF_PREDS].device
        kept = {name: value for name, value in batch.items() if name not in (Columns.REWARDS, FOLLOWING, LAST)}
        return {
            **kept,
            Postprocessing.VALUE_TARGETS: torch.from_numpy(found.targets).to(device),
            Postprocessing.ADVANTAGES: standardized(torch.from_numpy(found.advantages)).to(device),
        }
