"""What a training starts with: its builds, a place to learn in, and a garbage collector that is told what stays."""

import gc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from rl_src.training.algorithms.learner_process import LearnerProcess
from rl_src.training.sampling.scenes import Scenes
from rl_src.training.settings.config import TrainingConfig
from rl_src.training.settings.machine import learning_device, number_of_builds


def start_learning(config: TrainingConfig) -> AbstractContextManager[LearnerProcess | None]:
    """The process that learns; None where learning goes on in this one.

    Raises:
        InvalidTrainingConfigError: a GPU was asked for, and there is none.
    """
    asked = [config.hyperparameters, *(own.hyperparameters for own in config.behaviors.values())]
    if any(own.device == "cuda" for own in asked):
        learning_device("cuda")  # what cannot be is refused before builds start
    return LearnerProcess() if config.learns_in == "process" else nullcontext()


def start_scenes(config: TrainingConfig, work_dir: Path) -> Scenes:
    """Start the builds, and import RLlib meanwhile: both take seconds, and a build starts in a process of its own.

    Raises:
        UnityEnvironmentError: a build failed.
    """
    with ThreadPoolExecutor(1) as thread:
        start = thread.submit(Scenes.start, config, number_of_builds(config), work_dir)
        try:
            import rl_src.training.behavior_training  # noqa: F401
        except BaseException:
            if start.exception() is None:
                start.result().close()
            raise
        return start.result()


@contextmanager
def imports_left_alone() -> Iterator[None]:
    """The garbage collector does not look through what is there already.

    RLlib and torch leave 300,000 objects. To look through them takes 0.18 s, in which every build waits.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
