"""V-trace (arXiv:1802.01561): what decisions were worth, told from what an older policy played.

The ratios of both policies' probabilities weigh what is learned from. They are cut off, for rare ones would be large:
`clip_rho` settles which policy's values are found (cut at infinity the present one's, near 0 the older one's), and the
cut of the traces at 1 how fast. A mixture with one-step values by lambda is the paper's remark 2; advantages mix
alike, as in DeepMind's rlax, so that with equal policies both are those of generalised advantage estimation.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

TRACE_LIMIT = 1.0
"""Where the weights of later errors are cut off (the paper's c bar)."""


@dataclass(frozen=True)
class VTrace:
    """Of N decisions. `targets`: of their values; `advantages`: not weighted by the policies' ratio yet. [N] each."""

    targets: FloatArray
    advantages: FloatArray


def vtrace(
    rewards: FloatArray,
    values: FloatArray,
    following: FloatArray,
    last: NDArray[np.bool_],
    log_ratios: FloatArray,
    *,
    gamma: float,
    lambda_: float,
    clip_rho: float,
) -> VTrace:
    """Value targets and advantages of stretches that lie one behind the other, N decisions in all.

    With rho = min(clip_rho, ratio), c = lambda min(1, ratio) and V(next) = `following`:
        error     = rho (reward + gamma V(next) - V)
        target    = V + error + gamma c (target(next) - V(next))
        advantage = reward + gamma (V(next) + lambda (target(next) - V(next))) - V
    where target(next) is V(next) behind the last decision of a stretch.

    Args:
        rewards: what followed each decision, [N].
        values: of the observations that were decided on, [N].
        following: of the observations that came next; 0 where the episode terminated, [N].
        last: which decisions are the last of their stretch, [N].
        log_ratios: log probability under the present policy minus that under the one which played, [N].
        gamma: discount.
        lambda_: 1 is the paper's V-trace, 0 looks one step ahead.
        clip_rho: at least 1.
    """
    ratios = np.exp(np.asarray(log_ratios, dtype=np.float64))
    one_step = rewards + gamma * following.astype(np.float64) - values
    errors = (np.minimum(clip_rho, ratios) * one_step).tolist()
    traces = (gamma * lambda_ * np.minimum(TRACE_LIMIT, ratios)).tolist()
    ends = last.tolist()
    corrections = np.empty(len(errors), dtype=np.float64)  # target - V
    later = np.empty(len(errors), dtype=np.float64)  # target(next) - V(next)
    running = 0.0
    for t in range(len(errors) - 1, -1, -1):
        ahead = 0.0 if ends[t] else running
        later[t] = ahead
        corrections[t] = running = errors[t] + traces[t] * ahead
    return VTrace(
        targets=(values + corrections).astype(np.float32),
        advantages=(one_step + gamma * lambda_ * later).astype(np.float32),
    )
