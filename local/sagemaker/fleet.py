"""The instances of one variant: as many containers as the config names, asked in turn."""

import itertools
import threading
from collections.abc import Callable

from local.sagemaker.deployment import Deployment
from local.sagemaker.resources import Served


class Fleet:
    """Instances that serve one config. `start` returns when all answer; `stop` when nothing of them is left."""

    def __init__(self, served: Served, new_instance: Callable[[], Deployment]) -> None:
        self.served = served
        self._new_instance = new_instance
        self._instances: tuple[Deployment, ...] = ()
        self._turn = itertools.count()
        self._starting: Deployment | None = None
        self._stopped = False

    @property
    def healthy_count(self) -> int:
        """How many instances answer."""
        return sum(instance.is_healthy for instance in self._instances)

    def start(self) -> None:
        """Start all instances.

        Raises:
            DeploymentFailedError: one did not come up; nothing is left running.
        """
        try:
            self.resize(self.served.instance_count)
        except BaseException:
            self.stop(grace_seconds=0)
            raise

    def resize(self, count: int) -> None:
        """Have so many instances; those that go answer first what they were asked.

        Raises:
            DeploymentFailedError: a new one did not come up; the others stay.
        """
        while len(self._instances) < count and not self._stopped:
            instance = self._new_instance()
            self._starting = instance
            try:
                instance.start()
            finally:
                self._starting = None
            self._instances = (*self._instances, instance)
        while len(self._instances) > count:
            *kept, last = self._instances
            self._instances = tuple(kept)
            last.drain()
            last.stop()

    def admit(self) -> Deployment | None:
        """The instance whose turn it is, an unhealthy one only if there is no other; None if all are going.

        Raises:
            ThrottlingError: a serverless variant beyond its MaxConcurrency.
        """
        instances = self._instances
        if not instances:
            return None
        turn = next(self._turn) % len(instances)
        in_turn = instances[turn:] + instances[:turn]
        for instance in sorted(in_turn, key=lambda each: not each.is_healthy):
            if instance.admit():
                return instance
        return None

    def drain(self) -> None:
        """Admit no more, and wait for what is being answered."""
        for instance in self._instances:
            instance.drain()

    def stop(self, grace_seconds: float | None = None) -> None:
        """SIGTERM, SIGKILL after the grace, for all at once."""
        self._stopped = True
        starting = self._starting
        every = [*self._instances, *([starting] if starting is not None else [])]
        stopping = [threading.Thread(target=instance.stop, args=(grace_seconds,)) for instance in every]
        for thread in stopping:
            thread.start()
        for thread in stopping:
            thread.join()
