"""From one sensor's observation to features: pictures through convolutions, sets of entities through pooling."""

import math
from collections.abc import Callable

import torch
from torch import nn

from rl_src.training.errors import InvalidTrainingConfigError
from rl_src.training.settings.config import Activation, ImageEncoderName

ACTIVATIONS: dict[Activation, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU, "silu": nn.SiLU}

Shape = tuple[int, ...]


def linear(inputs: int, outputs: int, gain: float) -> nn.Linear:
    """Orthogonal weights, no bias."""
    layer = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer


class ImageEncoder(nn.Module):
    """CHW in, [N, size] out. `kind` is ML-Agents' `vis_encode_type`.

    - simple: two convolutions; small pictures get small kernels
    - nature_cnn: three, of Mnih et al. (2015)
    - resnet: three blocks of two residual pairs, IMPALA's large one (arXiv:1802.01561)
    - match3: two with kernels of 3, for boards of few cells

    Raises:
        InvalidTrainingConfigError: the picture is too small for this encoder.
    """

    def __init__(self, shape: Shape, kind: ImageEncoderName, activation: type[nn.Module]) -> None:
        super().__init__()
        least = _LEAST_SIDE.get(kind, 1)
        if min(shape[1:]) < least:
            raise InvalidTrainingConfigError(
                f"image encoder {kind} needs pictures of at least {least} x {least}, not {shape[1]} x {shape[2]}.",
                "Choose network.image_encoder simple, which takes any size.",
            )
        self.layers = nn.Sequential(*_LAYERS[kind](shape, activation), nn.Flatten())
        for module in self.layers.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.orthogonal_(module.weight, math.sqrt(2))
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        with torch.no_grad():
            self.size = int(self.layers(torch.zeros(1, *shape)).shape[1])

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """[N, C, H, W] -> [N, size]."""
        encoded: torch.Tensor = self.layers(image)
        return encoded


def _simple(shape: Shape, activation: type[nn.Module]) -> list[nn.Module]:
    channels, height, width = shape
    first, second = ((8, 4), (4, 2)) if min(height, width) >= 36 else ((3, 1), (3, 1))
    layers: list[nn.Module] = []
    for out, (side, stride) in ((16, first), (32, second)):
        kernel = min(side, height, width)
        layers += [nn.Conv2d(channels, out, kernel, stride), activation()]
        channels, height, width = out, (height - kernel) // stride + 1, (width - kernel) // stride + 1
    return layers


def _nature(shape: Shape, activation: type[nn.Module]) -> list[nn.Module]:
    sizes = ((shape[0], 32, 8, 4), (32, 64, 4, 2), (64, 64, 3, 1))
    return [part for a, b, side, stride in sizes for part in (nn.Conv2d(a, b, side, stride), activation())]


def _match3(shape: Shape, activation: type[nn.Module]) -> list[nn.Module]:
    sizes = ((shape[0], 35), (35, 144))
    return [part for a, b in sizes for part in (nn.Conv2d(a, b, 3), activation())]


def _resnet(shape: Shape, activation: type[nn.Module]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    channels = shape[0]
    for out in (16, 32, 32):
        layers += [nn.Conv2d(channels, out, 3, padding=1), nn.MaxPool2d(3, 2, padding=1)]
        layers += [_Residual(out, activation), _Residual(out, activation)]
        channels = out
    return [*layers, activation()]


class _Residual(nn.Module):
    def __init__(self, channels: int, activation: type[nn.Module]) -> None:
        super().__init__()
        convolutions = [nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2)]
        self.layers = nn.Sequential(activation(), convolutions[0], activation(), convolutions[1])

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        changed: torch.Tensor = self.layers(image)
        return image + changed


_LAYERS: dict[ImageEncoderName, Callable[[Shape, type[nn.Module]], list[nn.Module]]] = {
    "simple": _simple,
    "nature_cnn": _nature,
    "resnet": _resnet,
    "match3": _match3,
}
_LEAST_SIDE: dict[ImageEncoderName, int] = {"nature_cnn": 36, "match3": 5}


class EntityEncoder(nn.Module):
    """A set of entities, in any order and of any number up to the sensor's: deep sets (arXiv:1703.06114).

    Each entity goes through the same layers; what comes out are their mean and maximum, and 0 where there is none.
    A row of zeros is no entity, as ML-Agents pads buffer sensors.
    """

    def __init__(self, features: int, width: int, activation: type[nn.Module]) -> None:
        super().__init__()
        gain = math.sqrt(2)
        self.layers = nn.Sequential(
            linear(features, width, gain), activation(), linear(width, width, gain), activation()
        )
        self.size = 2 * width

    def forward(self, entities: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """[N, entities, features], [N, entities] (1 = present) -> [N, size]."""
        encoded = self.layers(entities)
        there = present.unsqueeze(2)
        count = there.sum(dim=1)
        mean = (encoded * there).sum(dim=1) / count.clamp(min=1.0)
        highest = torch.where(there > 0.5, encoded, torch.full_like(encoded, -1e9)).amax(dim=1)
        return torch.cat([mean, highest * (count > 0.5)], dim=1)


def entities_present(entities: torch.Tensor) -> torch.Tensor:
    """[N, entities, features] -> [N, entities]: 0 for rows of zeros, else 1."""
    return (entities.abs().amax(dim=2) > 0).to(entities.dtype)
