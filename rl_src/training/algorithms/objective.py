"""What the algorithms with a clipped objective have in common: PPO, APPO, and POCA whose advantages are a group's."""

import torch

MAX_IMPORTANCE = 2.0
"""PPO's and POCA's limit of `importance`: rare actions that became likely would otherwise dominate the batch."""


def importance(proximal_logp: torch.Tensor, played_logp: torch.Tensor, limit: float = MAX_IMPORTANCE) -> torch.Tensor:
    """How much likelier each decision is under the policy that the update begins with than when it was played: [N].

    PPO's and POCA's batch was played one update ago (`behavior_training`), APPO's longer ago or less. With the
    decoupled objective (arXiv:2110.00641) the step is kept near the present policy, not near that older one. On Basic
    (6 seeds), whose updates are large, PPO's own ratio needed 8,500 decisions, this 6,000, and learning without the lag
    5,300.
    """
    return (proximal_logp - played_logp).exp().clamp(max=limit)


def clipped_loss(
    logp: torch.Tensor, proximal_logp: torch.Tensor, advantages: torch.Tensor, clip: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """PPO's policy loss (arXiv:1707.06347, eq. 7), and the divergence from the proximal policy.

    Args:
        logp: of the decisions, under the policy that learns, [N].
        proximal_logp: under the one that the update began with, [N].
        advantages: times `importance`, [N].
        clip: how far the ratio counts.
    """
    log_ratio = logp - proximal_logp
    ratio = log_ratio.exp()
    clipped = ratio.clamp(1 - clip, 1 + clip)
    loss = -torch.min(advantages * ratio, advantages * clipped).mean()
    with torch.no_grad():
        kl = ((ratio - 1) - log_ratio).mean()  # the low-variance estimate of http://joschu.net/blog/kl-approx.html
    return loss, kl


def standardized(advantages: torch.Tensor) -> torch.Tensor:
    """Of mean 0 and deviation 1 over the batch: [N]."""
    return (advantages - advantages.mean()) / advantages.std(unbiased=False).clamp(min=1e-6)


def explained_variance(targets: torch.Tensor, predicted: torch.Tensor) -> float:
    """1: the value function foresaw the returns; 0: it did no better than their mean."""
    variance = float(targets.var(unbiased=False))
    if variance < 1e-12:
        return 0.0
    return 1.0 - float((targets - predicted).var(unbiased=False)) / variance
