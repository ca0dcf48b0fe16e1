"""`train`: play the build, learn, leave the artifact in /opt/ml/model.

Of several hosts, the first does so, on builds of its own and of the others, which lend it their machines.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from container import job
from container.artifacts import check_recorded, unpack, write_manifest
from container.cluster import ClusterOptions, Head, Hosts, Worker
from container.failures import ContainerError
from container.opt_ml import OptMl
from pipeline.contracts.job import TrainingJobInput, from_hyperparameters
from pipeline.contracts.policy import ActionSpec, BehaviorSpec, ObservationSpec, PolicySpec, TrainingSummary
from pipeline.contracts.validation import InvalidDocumentError
from rl_src.envs.player import PlayerUser
from rl_src.envs.sightings import findings, kept
from rl_src.envs.specs import BehaviorSpec as UnityBehaviorSpec
from rl_src.serving.artifact import check_manifest
from rl_src.serving.errors import InvalidArtifactError
from rl_src.training.sampling.host_build import HostBuild

if TYPE_CHECKING:
    from rl_src.training.result import TrainingResult
    from rl_src.training.settings.config import TrainingConfig


def main(options: ClusterOptions | None = None) -> int:
    """The entry point; returns the exit code. `options`: of the cluster, where the job has several hosts."""
    return job.run(partial(_run, options or ClusterOptions()))


@dataclass(frozen=True)
class _Job:
    """What each host has of the job. `folder`: scratch."""

    opt_ml: OptMl
    stop: job.StopSignal
    config: TrainingJobInput
    folder: Path
    program: Path
    user: PlayerUser | None


def _run(options: ClusterOptions, opt_ml: OptMl, stop: job.StopSignal) -> None:
    config = read_config(opt_ml)
    current, names = opt_ml.hosts()
    hosts = Hosts.of(current, names) if len(names) > 1 else None
    with job.scratch() as folder:
        program = job.prepare_build(opt_ml.channel_file("build", ".zip"), folder, config.environment.executable)
        own = _Job(opt_ml, stop, config, folder, program, job.player_user(folder, program))
        if hosts is None:
            _train(own)
        elif hosts.is_head:
            _train_with_others(own, hosts, options)
        else:
            _help(own, hosts, options)


def _help(own: _Job, hosts: Hosts, options: ClusterOptions) -> None:
    """On another host than the first: lend it to the first, which starts builds here, until the job is over."""
    variables = HostBuild(own.program, own.folder, own.user).variables()
    with Worker(hosts, options, stop=own.stop, variables=variables) as worker:
        worker.wait()


def _train_with_others(own: _Job, hosts: Hosts, options: ClusterOptions) -> None:
    """On the first host: train on builds of all hosts. The others are told when it is over, however it ends."""
    lost = LostHosts()
    with Head(hosts, options, stop=own.stop, on_lost=lost) as head:
        if own.stop():
            _train(own)  # nobody need be waited for any more: it ends at once
            return
        os.environ.update(head.variables)  # before ray is imported
        _train(own, head, lost)


class LostHosts:
    """Told of hosts that were lost; passes their addresses on as soon as there is somebody to pass them on to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names: list[str] = []
        self._tell: Callable[[str], None] | None = None

    def __call__(self, host: str) -> None:
        """A host was lost."""
        with self._lock:
            self._names.append(host)
            tell = self._tell
        if tell is not None:
            tell(host)

    def listen(self, tell: Callable[[str], None]) -> None:
        """`tell` is called for hosts lost so far, and from now on."""
        with self._lock:
            self._tell, names = tell, list(self._names)
        for name in names:
            tell(name)


def _train(own: _Job, head: Head | None = None, lost: LostHosts | None = None) -> None:
    # ray and torch take seconds to import: a build or an artifact that is refused is refused before.
    opt_ml = own.opt_ml
    start_from = _earlier_checkpoint(opt_ml, own.config.initial_sha256, own.folder)

    from rl_src.training.settings.config import TrainingConfig
    from rl_src.training.settings.machine import learner_place
    from rl_src.training.trainer import train

    _, hosts = opt_ml.hosts()
    config = replace(
        TrainingConfig.from_document(own.program, own.config.config().model_dump(exclude_none=True), run_as=own.user),
        instance_count=len(hosts),
        start_from=start_from,
        learns_in=learner_place(),
    )
    if head is None or lost is None:
        result = train(
            config,
            model_dir=opt_ml.model,
            checkpoint_dir=opt_ml.checkpoints,
            work_dir=own.folder,
            report=_print_line,
            stop_requested=own.stop,
        )
    else:
        result = _train_on_all_hosts(own, config, head, lost)
    _describe(opt_ml, result, findings(kept(own.folder)))


def _train_on_all_hosts(own: _Job, config: "TrainingConfig", head: Head, lost: LostHosts) -> "TrainingResult":
    from rl_src.training.sampling.remote_builds import RemoteBuilds
    from rl_src.training.settings.machine import number_of_builds
    from rl_src.training.trainer import train_on

    started = time.monotonic()
    with RemoteBuilds(config, head.address, head.host_address, own.folder) as builds:
        lost.listen(lambda host: builds.lose(head.known_address(host)))
        return train_on(
            builds.start(number_of_builds(config)),
            config,
            model_dir=own.opt_ml.model,
            checkpoint_dir=own.opt_ml.checkpoints,
            report=_print_line,
            stop_requested=own.stop,
            started=started,
        )


def _describe(opt_ml: OptMl, result: "TrainingResult", of_the_build: Sequence[Mapping[str, str]]) -> None:
    """What else belongs into an artifact. `of_the_build`: warnings about what it reached for."""
    run_id, policy = job.identity()
    spec = PolicySpec(
        policy=policy,
        version=run_id,
        behaviors=tuple(
            _behavior(one, result.onnx_files[one.behavior_name], result.memory_sizes[one.behavior_name])
            for one in result.behaviors
        ),
    )
    _write(opt_ml.model / "policy_spec.json", spec)
    summary = result.summary()
    summary["warnings"] = [*summary["warnings"], *of_the_build]
    _write(opt_ml.model / "training_summary.json", TrainingSummary.model_validate(summary))
    write_manifest(opt_ml.model, run_id)


def _earlier_checkpoint(opt_ml: OptMl, recorded: str | None, folder: Path) -> Path | None:
    """Of the run to begin with, whose model.tar.gz lies in the channel `initial`; None without such a channel.

    Nothing of the archive is read before its SHA-256 is the one that the run which made it `recorded`.

    Raises:
        ContainerError: nobody knows where it is from, it was changed since, or it is no artifact of a training.
    """
    if not opt_ml.has_channel("initial"):
        return None
    archive, artifact = opt_ml.channel_file("initial", ".tar.gz"), folder / "initial"
    check_recorded(archive, recorded)
    unpack(archive, artifact)
    remedy = "Start from the model.tar.gz that a training run left, unchanged."
    try:
        check_manifest(artifact)
    except InvalidArtifactError as error:
        raise ContainerError(
            "InvalidArtifact", f"The artifact to begin with cannot be used: {error}.", remedy
        ) from error
    if not (artifact / "checkpoint" / "state.json").is_file():
        raise ContainerError("InvalidArtifact", "The artifact to begin with holds no checkpoint.", remedy)
    return artifact / "checkpoint"


def read_config(opt_ml: OptMl) -> TrainingJobInput:
    """The job's configuration.

    Raises:
        ContainerError: a hyperparameter that is not known, or out of range.
    """
    try:
        return from_hyperparameters(TrainingJobInput, opt_ml.hyperparameters())
    except InvalidDocumentError as error:
        raise ContainerError("InvalidHyperparameters", f"{error}.", "Correct the named hyperparameters.") from error


def _behavior(spec: UnityBehaviorSpec, onnx: str, memory_size: int) -> BehaviorSpec:
    return BehaviorSpec(
        name=spec.behavior_name,
        onnx=onnx,
        observations=tuple(ObservationSpec(name=sensor.name, shape=sensor.shape) for sensor in spec.observations),
        actions=ActionSpec(
            continuous_size=spec.actions.continuous_size, discrete_branches=spec.actions.discrete_branches
        ),
        memory_size=memory_size,
    )


def _print_line(line: dict[str, Any]) -> None:
    """One JSON object a line: SageMaker's MetricDefinitions read it."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _write(path: Path, document: PolicySpec | TrainingSummary) -> None:
    path.write_text(document.model_dump_json(indent=2), encoding="utf-8")
