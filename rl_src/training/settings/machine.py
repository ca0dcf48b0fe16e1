"""What is chosen by the machine that a training runs on: its cores, and whether it has a GPU."""

from pathlib import Path
from typing import Literal

from rl_src.cores import usable_cores
from rl_src.training.errors import InvalidTrainingConfigError
from rl_src.training.settings.config import Device, DeviceChoice, TrainingConfig

OWN_CORES = 2
"""Not for builds: one decides for all agents, one learns."""

CORES_A_BUILD = 2
"""A build's main thread fills a core, and what a cloud calls a core is mostly one of a core's two hyperthreads."""

MOST_BUILDS = 16
"""That are chosen; who wants more says so. One process decides for all of them."""

_GPU = Path("/dev/nvidia0")
"""The first GPU, as NVIDIA's driver and its container runtime show it."""


def number_of_builds(config: TrainingConfig) -> int:
    """Builds played side by side; chosen by the cores alone, so that the same machine chooses the same again.

    One on up to five cores: a second build would take the core of whoever learns. Whether more would help is told while
    training (`progress.pace`), and is for the user to settle: several builds at their own pace repeat no seed.
    """
    return config.environment.num_builds or chosen_builds(usable_cores())


def chosen_builds(cores: int) -> int:
    """Of a machine with so many cores."""
    return max(1, min(MOST_BUILDS, (cores - OWN_CORES) // CORES_A_BUILD))


def most_builds(cores: int) -> int:
    """That can be told to help, where builds are waited for: a core for each."""
    return max(1, cores - OWN_CORES)


def learner_place() -> Literal["thread", "process"]:
    """Where learning is quicker on this machine: a process of its own needs a core of its own."""
    return "process" if usable_cores() > 1 else "thread"


def learning_device(asked: DeviceChoice | None = None) -> Device:
    """Where learning goes on: on a GPU where torch finds one, unless something else was asked for.

    Raises:
        InvalidTrainingConfigError: a GPU was asked for, and torch finds none.
    """
    if asked == "cpu":
        return "cpu"
    import torch  # takes seconds

    if torch.cuda.is_available():
        return "cuda"
    if asked == "cuda":
        raise InvalidTrainingConfigError(
            f"hyperparameters.device is cuda, and torch {torch.__version__} finds no GPU on this machine.",
            "Choose an instance type with a GPU (instances.instance_type, such as ml.g5.xlarge) and an image whose "
            "torch is built for CUDA, or hyperparameters.device auto or cpu.",
        )
    return "cpu"


def why_gpu_is_idle() -> str:
    """Why torch finds no GPU on a machine that has one; empty where it finds it, or where there is none."""
    if not _GPU.exists():
        return ""
    import torch  # takes seconds

    if torch.cuda.is_available():
        return ""
    if torch.version.cuda is None:
        return f"torch {torch.__version__} is built for CPUs; TORCH_BUILD=cuda makes an image for GPUs"
    return f"torch {torch.__version__} is built for CUDA {torch.version.cuda}, which may want a later driver"
