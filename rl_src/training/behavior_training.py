"""The training of one behavior: its policy, what it plays with, its counters, and when it has learned enough.

Sampling and learning overlap. When a batch is full, the update on the batch before is waited for, its weights are what
plays from now on, and the update on the full batch begins in a thread:

    batch      1      2      3      4
    played by  W0     W0     W1     W2
    learning          1:W1   2:W2   3:W3

So a batch is always played by one policy, which is one update behind, and a seed gives the same numbers however long
either side takes. The ratio of PPO and POCA accounts for the lag: it compares with the probabilities of the policy that
played. SAC learns from what any policy played.

So does APPO, which waits for neither: a full batch goes into a queue, and what an update has learned plays at once, in
the middle of a batch too. Only when the queue is full is its oldest update waited for. Its numbers depend on how long
either side takes.
"""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from rl_src.envs.specs import BehaviorSpec
from rl_src.training.algorithms.learner_process import LearnerProcess
from rl_src.training.algorithms.learners import Learner, make_learner
from rl_src.training.algorithms.poca import STATISTICS as POCA_STATISTICS
from rl_src.training.algorithms.policy_weights import load_policy
from rl_src.training.algorithms.ppo import behavior_seed
from rl_src.training.algorithms.remote_learner import RemoteLearner
from rl_src.training.algorithms.sac import STATISTICS as SAC_STATISTICS
from rl_src.training.artifacts.best import Best, BestPolicy, Weights
from rl_src.training.artifacts.checkpoint import BehaviorCheckpoint
from rl_src.training.curiosity.bonus import statistic_names
from rl_src.training.imitation.behavioral_cloning import STATISTIC as CLONING_LOSS
from rl_src.training.imitation.demonstrations import Demonstrations
from rl_src.training.networks.network import PolicyNetwork
from rl_src.training.progress.patience import PatienceRule, PatienceSettings
from rl_src.training.progress.report import RecentEpisodes
from rl_src.training.sampling.sampler import BehaviorSampler
from rl_src.training.settings.config import Algorithm, ResolvedAppo, ResolvedBehavior
from rl_src.training.updates import Learned, UpdateQueue

EPISODES_TO_STOP = 50
"""`stop.mean_return` counts from so many recent episodes on."""

_OF_PPO = ("policy_loss", "vf_loss", "entropy", "kl", "grad_norm", "explained_variance")

STATISTICS: Mapping[Algorithm, Sequence[str]] = {
    "PPO": _OF_PPO,
    "APPO": _OF_PPO,
    "SAC": SAC_STATISTICS,
    "poca": POCA_STATISTICS,
}
"""What a progress line tells of an update; None where there was none, or where the behavior has no such part."""


@dataclass(frozen=True)
class _Played:
    """Who plays a batch `since` so many of its decisions."""

    since: int
    by: Learned


@dataclass(frozen=True)
class Turn:
    """What came of taking a batch."""

    lines: list[dict[str, Any]]
    returns: list[float]


class BehaviorTraining:
    """Trains one behavior. Close it.

    Args:
        config: its settings.
        behavior: its specs.
        executor: a thread to learn in, or to wait in for the process that learns.
        demonstrations: what it imitates at first.
        learner_process: where it learns; None: here.
    """

    def __init__(
        self,
        config: ResolvedBehavior,
        behavior: BehaviorSpec,
        executor: Executor,
        demonstrations: Demonstrations | None = None,
        learner_process: LearnerProcess | None = None,
    ) -> None:
        self.config = config
        self.behavior = behavior
        self.iterations = self.env_steps = self.episodes = 0
        self.stop_reason: str | None = None
        self._learner: Learner
        if learner_process is None:
            self._learner = make_learner(config, behavior, demonstrations)
        else:
            self._learner = RemoteLearner(learner_process, config, behavior, demonstrations)
        self._is_asynchronous = isinstance(config.hyperparameters, ResolvedAppo)
        waiting = config.appo.learner_queue_size if self._is_asynchronous else 0
        self._updates = UpdateQueue(executor, self._learner, waiting)
        self._played = [_Played(0, self._updates.learned)]
        seed = [behavior_seed(config), 0]
        keeps_groups = config.algorithm == "poca"
        self.sampler = BehaviorSampler(behavior, self._learner.acting, seed, keeps_groups=keeps_groups)
        self._recent = RecentEpisodes()
        stop = config.stop
        self._patience = PatienceRule(PatienceSettings(stop.mean_return, stop.patience, stop.no_improvement_env_steps))
        self._best = BestPolicy()
        self._batch_began = time.monotonic()

    @property
    def name(self) -> str:
        """The behavior's name, without team."""
        return self.behavior.behavior_name

    @property
    def best(self) -> Best | None:
        """The weights that played best so far."""
        return self._best.best

    @property
    def progress(self) -> float | None:
        """Env steps over their limit; None without a limit."""
        limit = self.config.stop.env_steps
        return None if limit is None else self.env_steps / limit

    def has_batch(self) -> bool:
        """Whether enough has been played for the next update."""
        return self.stop_reason is None and self.sampler.decisions >= self._wanted()

    def has_news(self) -> bool:
        """Whether something was learned that is to be played with at once, as APPO does."""
        is_new = self._updates.learned.updates > self._played[-1].by.updates
        return self._is_asynchronous and (is_new or self._updates.has_finished())

    def is_learning(self) -> bool:
        """Whether an update goes on."""
        return self._updates.is_learning()

    def catch_up(self) -> list[dict[str, Any]]:
        """Play with what has been learned so far; the progress lines that are complete now."""
        lines = self._updates.collect()
        self._act_on_learned()
        return lines

    def turn(self, remarks: Mapping[str, Any], *, learns: bool = True) -> "Turn":
        """Take the batch, and learn from it while the next one is played.

        Args:
            remarks: for the batch's progress line.
            learns: false leaves the batch out, as at a stop, which must not wait for an update.

        Returns:
            Progress lines that are complete now, and the returns of the episodes that ended in the batch.
        """
        sampled = time.monotonic()
        lines = self._updates.make_room()
        played_by, first = self._most_played(), self._played[0].by
        episodes, finished = self.sampler.take()
        self._played = []
        self._act_on_learned()
        steps = sum(len(episode) for episode in episodes)
        self.env_steps += steps
        self.episodes += len(finished)
        self.iterations += 1
        self._recent.add(finished)
        self._best.judge(finished, played_by.weights, self.iterations)
        line = {**self._line(steps, sampled - self._batch_began), **remarks}
        if self.config.algorithm != "SAC":
            # A handful of decisions, as at a limit or a stop, would make a wild update.
            learns = learns and steps >= self.config.hyperparameters.minibatch_size
        if self._is_asynchronous:
            line["policy_lag"] = self._updates.begun - first.updates
        names = [*STATISTICS[self.config.algorithm], *statistic_names(self.config.curiosity)]
        if self.config.behavioral_cloning is not None:
            names.append(CLONING_LOSS)
        self._updates.begin(line, names, episodes if learns else None, self.env_steps)
        self._batch_began = time.monotonic()
        self._judge_limits()
        return Turn(lines, [item.episode_return for item in finished])

    def finish_updates(self) -> list[dict[str, Any]]:
        """Wait for the updates that are going on, if any; their progress lines. What plays stays as it was."""
        return self._updates.finish()

    def final_weights(self) -> Weights:
        """The best ones, or the last where no policy could be judged, or where returns depend on the opponents."""
        best = self._best.best
        return best.weights if best and self.config.self_play is None else self._learner.weights()

    def new_player(self) -> PolicyNetwork:
        """A network like the one that acts."""
        return PolicyNetwork(
            self.behavior.observations, self.behavior.actions, self.config.network, with_critic=False
        ).eval()

    def checkpoint(self) -> BehaviorCheckpoint:
        """All that is needed to go on. Updates that are going on must have been finished."""
        state, arrays = self._learner.state()
        best = self._best.best
        document = {
            "iterations": self.iterations,
            "env_steps": self.env_steps,
            "episodes": self.episodes,
            "recent_episodes": self._recent.to_document(),
            "best": {"mean_return": best.mean_return, "iteration": best.iteration} if best else None,
            "actions": self.sampler.rng_state(),
            "patience": self._patience.state(),
            **state,
        }
        return BehaviorCheckpoint(document, self._learner.weights(), arrays, best.weights if best else None)

    def begin_with(self, checkpoint: BehaviorCheckpoint) -> None:
        """Play and learn on from the best policy of another training; all else is as at any beginning.

        Raises:
            InvalidCheckpointError: it is of another network.
        """
        self._learner.set_weights(checkpoint.weights if checkpoint.best is None else checkpoint.best)
        self._begin_with_learned()

    def resume(self, checkpoint: BehaviorCheckpoint) -> None:
        """Go on from a checkpoint.

        Raises:
            InvalidCheckpointError: it is of another network or optimizer.
        """
        state = checkpoint.state
        self._learner.set_weights(checkpoint.weights)
        self._learner.set_state(state, checkpoint.optimizer)
        self._begin_with_learned()
        self.sampler.set_rng_state(state["actions"])
        self.iterations, self.env_steps, self.episodes = state["iterations"], state["env_steps"], state["episodes"]
        self._recent = RecentEpisodes.from_document(state["recent_episodes"])
        if state["best"] and checkpoint.best is not None:
            self._best = BestPolicy(Best(checkpoint.best, state["best"]["mean_return"], state["best"]["iteration"]))
        self._patience.set_state(state["patience"])
        self._judge_limits()

    def summary(self) -> Mapping[str, Any]:
        """How far it came."""
        best = self._best.best
        return {
            "stop_reason": self.stop_reason,
            "iterations": self.iterations,
            "env_steps": self.env_steps,
            "episodes": self.episodes,
            "best_mean_return": best.mean_return if best else None,
            "best_iteration": best.iteration if best else None,
        }

    def close(self) -> None:
        """Release the learner."""
        self._updates.close()
        self._learner.close()

    def _wanted(self) -> int:
        """Decisions of the next batch, which ends at the limit."""
        limit, batch = self.config.stop.env_steps, self.config.hyperparameters.train_batch_size
        return batch if limit is None else min(batch, limit - self.env_steps)

    def _begin_with_learned(self) -> None:
        self._updates.begin_again()
        self._played = [_Played(0, self._updates.learned)]

    def _act_on_learned(self) -> None:
        learned = self._updates.learned
        load_policy(self._learner.acting, learned.weights)
        self._played.append(_Played(self.sampler.decisions, learned))

    def _most_played(self) -> Learned:
        """Of the policies that played the batch, the one that made most of its decisions."""
        ends = [*(item.since for item in self._played[1:]), self.sampler.decisions]
        shares = [end - item.since for item, end in zip(self._played, ends, strict=True)]
        return self._played[shares.index(max(shares))].by

    def _line(self, steps: int, sampling_seconds: float) -> dict[str, Any]:
        return {
            "behavior": self.name,
            "iteration": self.iterations,
            "env_steps": self.env_steps,
            "env_steps_limit": self.config.stop.env_steps,
            "episodes": self.episodes,
            **self._recent.summary(),
            "best_mean_return": self._best.best.mean_return if self._best.best else None,
            "env_steps_per_second": steps / max(1e-9, time.monotonic() - self._batch_began),
            "sampling_seconds": sampling_seconds,
        }

    def _judge_limits(self) -> None:
        enough = len(self._recent) >= EPISODES_TO_STOP
        limit = self.config.stop.env_steps
        self.stop_reason = self._patience.observe(self._recent.mean_return() if enough else None, self.env_steps)
        if self.stop_reason is None and limit is not None and self.env_steps >= limit:
            self.stop_reason = "env_steps"
        if self.stop_reason is not None:
            self.sampler.stop_collecting()
