"""PPO's update, on RLlib's learner: module, optimizer, state and learning-rate schedule are RLlib's.

The minibatch loop and the loss are ours: RLlib's log metrics and check gradients in every minibatch; its loss clamps
the squared value error at `vf_clip_param` (no gradient beyond an error of sqrt(10) by default), and turns NaN into a
warning.
"""

import math
from typing import Any

import torch
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.algorithms.ppo.torch.ppo_torch_learner import PPOTorchLearner
from ray.rllib.core.columns import Columns
from ray.rllib.core.learner.training_data import TrainingData
from ray.rllib.evaluation.postprocessing import Postprocessing

from rl_src.training.algorithms.divergence import FiniteSteps
from rl_src.training.algorithms.objective import MAX_IMPORTANCE, clipped_loss, explained_variance, importance
from rl_src.training.algorithms.optimizer import FlatAdam
from rl_src.training.algorithms.placement import portions, sent
from rl_src.training.algorithms.schedules import Coefficients
from rl_src.training.algorithms.sequences import PADDING
from rl_src.training.algorithms.train_batch import SEQUENCES
from rl_src.training.imitation.behavioral_cloning import STATISTIC as CLONING_LOSS
from rl_src.training.imitation.behavioral_cloning import BehavioralCloning
from rl_src.training.networks.action_distribution import log_probabilities_and_entropy
from rl_src.training.networks.network import PolicyNetwork
from rl_src.training.networks.rl_module import ACTION_MASK, DECIDED, MEMORY, network_of
from rl_src.training.settings.config import Precision

Batch = dict[str, Any]

PROXIMAL_LOGP, IMPORTANCE = "proximal_logp", "importance"
"""Columns of the batch, [N] each."""


class UnityPPOLearner(PPOTorchLearner):
    """PPO (arXiv:1707.06347) with value targets normalised by PopArt."""

    def build(self) -> None:
        """Build, and seed the order of minibatches."""
        super().build()
        config = self.config
        assert isinstance(config, PPOConfig)
        # What the loss weighs with; whoever asks for updates may set other ones before each.
        self.coefficients = Coefficients(entropy=float(config.entropy_coeff), clip=config.clip_param)
        self.shuffling = torch.Generator().manual_seed(self.config.learner_config_dict["seed"])
        # What is imitated besides, and how much was played when the batch began: of whoever asks for updates, too.
        self.cloning: BehavioralCloning | None = None
        self.env_steps = 0
        self.max_importance = MAX_IMPORTANCE
        optimizers: list[Any] = [self.get_optimizer(module_id) for module_id in self.module.keys()]  # noqa: SIM118
        self._nothing = torch.full((), math.nan, device=self._place)
        self._finite = FiniteSteps(optimizers, looks_at_once=self._place.type == "cpu")

    def _make_module(self) -> Any:
        """On the device that the settings name: RLlib would ask Ray, which need not run."""
        settings = self.config.learner_config_dict["settings"]
        self._place = torch.device(settings.device)
        self._device: Any = self._place  # RLlib's
        self._precision: Precision = settings.precision
        return super()._make_module()

    def configure_optimizers_for_module(self, module_id: str, config: Any = None) -> None:
        """One Adam for policy and value function."""
        parameters = list(network_of(self.module[module_id]).parameters())
        optimizer = FlatAdam(parameters)
        self.register_optimizer(
            module_id=module_id, optimizer=optimizer, params=parameters, lr_or_lr_schedule=config.lr
        )

    def update(  # the signature is RLlib's
        self,
        batch: Any = None,
        batches: Any = None,
        batch_refs: Any = None,
        episodes: Any = None,
        episodes_refs: Any = None,
        data_iterators: Any = None,
        training_data: TrainingData | None = None,
        *,
        timesteps: dict[str, Any] | None = None,
        num_total_minibatches: int = 0,
        num_epochs: int = 1,
        minibatch_size: int | None = None,
        shuffle_batch_per_epoch: bool = True,
        _no_metrics_reduce: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Learn from episodes, `num_epochs` times over; returns each module's mean statistics.

        Raises:
            TrainingDivergedError: loss or gradients are not finite; the weights are those before (`FiniteSteps`).
        """
        self._check_is_built()
        self.before_gradient_based_update(timesteps=timesteps or {})
        for module_id in self.module.keys():  # noqa: SIM118
            # RLlib leaves it on the device, which every step would wait for.
            group = self.get_optimizer(module_id).param_groups[0]
            group["lr"] = float(group["lr"])
        data = training_data or TrainingData(episodes=episodes, episodes_refs=episodes_refs)
        data.solve_refs()  # type: ignore[no-untyped-call]
        self._weights_seq_no += 1
        assert self._learner_connector is not None
        columns = self._learner_connector(
            rl_module=self.module, batch={}, episodes=data.episodes or [], shared_data={}, metrics=None
        )
        for module_id, module_batch in columns.items():
            statistics = self._update_module(module_id, module_batch, num_epochs, minibatch_size)
            self.metrics.log_dict(statistics, key=module_id, window=1)
        self.after_gradient_based_update(timesteps=timesteps or {})
        return None if _no_metrics_reduce else self.metrics.reduce()

    def _update_module(
        self, module_id: str, batch: Batch, num_epochs: int, minibatch_size: int | None
    ) -> dict[str, float]:
        network = network_of(self.module[module_id])
        assert network.critic is not None
        network.train()
        rows = len(batch[Columns.ACTIONS])
        batch = self._credited({**batch, **self._proximal(network, batch)})
        network.critic.update_scale(batch[Postprocessing.VALUE_TARGETS])
        # Equal parts rather than a small rest, whose gradient would be the noisiest and count the same.
        parts = max(1, rows // (minibatch_size or rows))
        items = len(batch[SEQUENCES]) if SEQUENCES in batch else rows
        device = batch[Columns.ACTIONS].device
        totals = torch.zeros(6, device=device)
        with self._finite.of_update():
            for _ in range(num_epochs):
                order = torch.randperm(items, generator=self.shuffling)
                if SEQUENCES not in batch:
                    order = sent(order, device)
                for indices in torch.tensor_split(order, parts):
                    totals += self._step(module_id, network, _take(batch, indices))
        network.update_moments(batch[Columns.OBS])
        policy_loss, vf_loss, entropy, kl, grad_norm, cloning_loss = (totals / (num_epochs * parts)).tolist()
        return {
            "policy_loss": policy_loss,
            "vf_loss": vf_loss,
            "entropy": entropy,
            "kl": kl,
            "grad_norm": grad_norm,
            "explained_variance": explained_variance(batch[Postprocessing.VALUE_TARGETS], batch[Columns.VF_PREDS]),
            CLONING_LOSS: cloning_loss,
        }

    def _step(self, module_id: str, network: PolicyNetwork, batch: Batch) -> torch.Tensor:
        """One gradient step; returns [policy loss, value loss, entropy, KL, gradient norm, cloning loss or NaN]."""
        loss, statistics = self._loss(network, batch)
        cloned = self.cloning.loss(network, self.env_steps) if self.cloning else None
        cloning_loss = self._nothing
        if self.cloning and cloned is not None:
            loss = loss + cloned
            cloning_loss = cloned.detach() / self.cloning.weight(self.env_steps)
        optimizer = self.get_optimizer(module_id)
        assert isinstance(optimizer, FlatAdam)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = optimizer.clip_gradients(self.config.grad_clip or float("inf"))
        self._finite.look(loss, norm)
        optimizer.step()
        return torch.stack([*statistics, norm, cloning_loss])

    @torch.no_grad()
    def _proximal(self, network: PolicyNetwork, batch: Batch) -> Batch:
        """Log probabilities under the policy that the update begins with, and `objective.importance`."""
        if SEQUENCES in batch:
            parts = [_take(batch, torch.arange(len(batch[SEQUENCES])))]
        else:
            actions = batch[Columns.ACTIONS]
            parts = [_rows(batch, rows) for rows in portions(len(actions), actions.device)]
        found = []
        for part in parts:
            inputs, _ = self._evaluate(network, part)
            found.append(log_probabilities_and_entropy(inputs, part[Columns.ACTIONS], network.action_spec)[0])
        logp = torch.cat(found)
        return {PROXIMAL_LOGP: logp, IMPORTANCE: importance(logp, batch[Columns.ACTION_LOGP], self.max_importance)}

    def _credited(self, batch: Batch) -> Batch:
        """With targets and advantages, which PPO's connector has made already."""
        return batch

    def _loss(self, network: PolicyNetwork, batch: Batch) -> tuple[torch.Tensor, list[torch.Tensor]]:
        config = self.config
        assert isinstance(config, PPOConfig)
        inputs, values = self._evaluate(network, batch)
        logp, entropies = log_probabilities_and_entropy(inputs, batch[Columns.ACTIONS], network.action_spec)
        advantages = batch[Postprocessing.ADVANTAGES] * batch[IMPORTANCE]
        policy_loss, kl = clipped_loss(logp, batch[PROXIMAL_LOGP], advantages, self.coefficients.clip)
        assert network.critic is not None
        targets = network.critic.normalize(batch[Postprocessing.VALUE_TARGETS])
        vf_loss = (values - targets).square().mean()
        entropy = entropies.mean()
        loss = policy_loss + config.vf_loss_coeff * vf_loss - self.coefficients.entropy * entropy
        return loss, [policy_loss.detach(), vf_loss.detach(), entropy.detach(), kl]

    def _evaluate(self, network: PolicyNetwork, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        given = (batch[Columns.OBS], batch.get(ACTION_MASK), batch.get(MEMORY), batch.get(DECIDED))
        if self._precision == "float32":
            return network.evaluate(*given)
        with torch.autocast(self._place.type, torch.bfloat16):
            inputs, values = network.evaluate(*given)
        return inputs.float(), values.float()  # probabilities and losses are not for so few digits


def _take(batch: Batch, chosen: torch.Tensor) -> Batch:
    """Some decisions, or some sequences: then with DECIDED [S, T], and in MEMORY what was known before each's first."""
    if SEQUENCES not in batch:
        return _rows(batch, chosen)
    sequences = batch[SEQUENCES][chosen]  # on the CPU, as what comes of it: how many there are must be known
    decided = sequences != PADDING
    decisions = {name: value for name, value in batch.items() if name not in (SEQUENCES, MEMORY)}
    device = batch[MEMORY].device
    taken = _rows(decisions, sent(sequences[decided], device))
    return {**taken, DECIDED: decided, MEMORY: batch[MEMORY][sent(sequences[:, 0], device)]}


def _rows(batch: Batch, rows: torch.Tensor | slice) -> Batch:
    return {
        name: tuple(item[rows] for item in value) if isinstance(value, tuple) else value[rows]
        for name, value in batch.items()
    }
