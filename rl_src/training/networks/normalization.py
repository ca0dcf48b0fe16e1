"""The observations' scale, learned while playing: networks see them standardised."""

import math
from collections.abc import Sequence

import torch
from torch import nn

from rl_src.envs.specs import ObservationSpec
from rl_src.training.networks.encoders import entities_present

NORMALIZED_LIMIT = 5.0
"""Normalised observations are clipped here, as ML-Agents does (`torch_entities/encoders.py`)."""

VARIANCE_FLOOR = 1e-8
"""Added to a variance before its root is divided by."""

BRIGHTEST = 255
"""Of a picture whose values are bytes, as a learner on a GPU keeps them: the networks see them divided by it."""

LEAST_DEVIATION = 0.01
"""Of a picture's channel, whose values are within [0, 1]: what is smaller is noise."""


class RunningMoments(nn.Module):
    """Mean and variance of everything seen so far, by Chan's parallel update (1979); kept in the weights."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.mean: torch.Tensor
        self.variance: torch.Tensor
        self.count: torch.Tensor
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("variance", torch.ones(size))
        self.register_buffer("count", torch.zeros(1, dtype=torch.float64))

    def update_some(self, values: torch.Tensor) -> None:
        """`update`, of a batch that may be empty."""
        if len(values):
            self.update(values)

    def update(self, values: torch.Tensor) -> None:
        """Add a batch: [N, size], N >= 1."""
        count, added = float(self.count), len(values)
        total = count + added
        batch_mean = values.mean(dim=0)
        delta = batch_mean - self.mean
        squares = self.variance * count + values.var(dim=0, unbiased=False) * added
        squares = squares + delta.square() * (count * added / total)
        self.mean.copy_(self.mean + delta * (added / total))
        self.variance.copy_(squares / total)
        self.count.fill_(total)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Standardise and clip: [N, size] -> [N, size]."""
        standard = (values - self.mean) / torch.sqrt(self.variance + VARIANCE_FLOOR)
        return standard.clamp(-NORMALIZED_LIMIT, NORMALIZED_LIMIT)


class PictureMoments(RunningMoments):
    """Of pictures: each pixel's mean, and each channel's deviation over pixels and pictures.

    Pictures come as values of 0 to 1, most of them the same in every picture. Convolutions take long to see the rest
    behind that offset: from 16,000 random pictures of GridWorld, 5 x 5 cells, a value function foresaw 4 % of the
    returns' variance as they came, and 51 % so.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(math.prod(shape))
        self.shape = shape

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Standardise and clip: [N, C, H, W] -> the same."""
        mean = self.mean.view(self.shape)
        # What pixels vary, and what their means differ within a channel.
        variance = self.variance.view(self.shape).mean(dim=(1, 2)) + mean.var(dim=(1, 2), unbiased=False)
        deviation = variance.sqrt().clamp(min=LEAST_DEVIATION)[:, None, None]
        return ((values - mean) / deviation).clamp(-NORMALIZED_LIMIT, NORMALIZED_LIMIT)


class ObservationMoments(nn.ModuleDict):
    """Running statistics of sensors, by their index: of all pictures, and of all else where `vectors` is true."""

    def __init__(self, observations: Sequence[ObservationSpec], *, vectors: bool) -> None:
        own = {str(i): item for i, item in enumerate(observations) if item.is_image or vectors}
        super().__init__({i: _moments_of(item) for i, item in own.items()})
        self._sets = {int(i) for i, item in own.items() if item.is_variable_length}
        self._pictures = {int(i) for i, item in own.items() if item.is_image}

    @torch.no_grad()
    def update_from(self, observations: Sequence[torch.Tensor]) -> None:
        """Add a batch: [N, *shape] for each sensor. Each entity of a set counts as one value."""
        for i, sent in enumerate(observations):
            if str(i) in self:
                moments = self[str(i)]
                assert isinstance(moments, RunningMoments)
                value = _as_floats(sent)
                moments.update_some(value[entities_present(value) > 0.5] if i in self._sets else value.flatten(1))

    def forward(self, observations: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Standardise: the same tensors, those that are no sets and no pictures as [N, size]."""
        return [self._standard(i, value) if str(i) in self else value for i, value in enumerate(observations)]

    def of_sensor(self, sensor: int) -> RunningMoments | None:
        """None: it is seen as it is."""
        if str(sensor) not in self:
            return None
        moments = self[str(sensor)]
        assert isinstance(moments, RunningMoments)
        return moments

    def _standard(self, sensor: int, value: torch.Tensor) -> torch.Tensor:
        moments = self[str(sensor)]
        if sensor in self._sets:
            # Rows of zeros are no entities, and must stay zeros.
            standard: torch.Tensor = moments(value) * entities_present(value).unsqueeze(2)
        else:
            standard = moments(_as_floats(value) if sensor in self._pictures else value.flatten(1))
        return standard


def _as_floats(values: torch.Tensor) -> torch.Tensor:
    """Bytes as the build's client makes floats of them: the same numbers, on a GPU but for the last bit."""
    return values.float().div_(BRIGHTEST) if values.dtype == torch.uint8 else values


def _moments_of(observation: ObservationSpec) -> RunningMoments:
    if observation.is_image:
        return PictureMoments(observation.shape)
    return RunningMoments(observation.shape[-1] if observation.is_variable_length else math.prod(observation.shape))
