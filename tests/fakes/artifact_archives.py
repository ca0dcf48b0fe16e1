"""What the containers leave behind, in its smallest valid form."""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from typing import Any

from pipeline.contracts.evaluation import (
    BehaviorComparison,
    BehaviorEvaluation,
    ComparisonResult,
    EvaluationReport,
    EvaluationWarning,
    IncumbentComparison,
    ParityPair,
    ParityRecord,
    PlayedEpisodes,
    Replay,
    ReplayedEpisode,
    ReturnDifference,
    ReturnStatistics,
)
from pipeline.contracts.policy import (
    ActionSpec,
    ArtifactFile,
    ArtifactManifest,
    BehaviorSpec,
    ObservationSpec,
    PolicySpec,
)

BEHAVIOR = BehaviorSpec(
    name="Basic",
    onnx="policies/Basic.onnx",
    observations=(ObservationSpec(name="position", shape=(3,)),),
    actions=ActionSpec(discrete_branches=(3,)),
)
PARITY = ParityRecord(
    pairs=(
        ParityPair(behavior="Basic", observations=([[1, 0, 0], [0, 1, 0]],), continuous=[[], []], discrete=[[2], [0]]),
    )
)


def tar_gz(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def with_manifest(run_id: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
    listed = {
        name: ArtifactFile(size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
        for name, content in files.items()
    }
    manifest = ArtifactManifest(run_id=run_id, files=listed)
    return {**files, "manifest.json": manifest.model_dump_json().encode()}


def training_files(run_id: str, policy: str = "basic") -> dict[str, bytes]:
    spec = PolicySpec(policy=policy, version=run_id, behaviors=(BEHAVIOR,))
    files = {
        "policy_spec.json": spec.model_dump_json().encode(),
        "config.json": b"{}",
        "training_summary.json": b"{}",
        "progress.jsonl": b'{"iteration": 1}\n',
        "learning_curve.png": b"\x89PNG",
        "policies/Basic.onnx": b"onnx of " + run_id.encode(),
        "checkpoint/weights.safetensors": b"weights",
    }
    return with_manifest(run_id, files)


REPLAY = Replay(
    behavior="Basic",
    shows="sketch",
    film="Basic.replay.gif",
    trajectory="Basic.trajectory.npz",
    width=360,
    height=75,
    decisions_per_frame=1,
    episodes=(ReplayedEpisode(length=7, episode_return=0.93, ending="terminated"),),
)


def report(run_id: str, mean_return: float, half_interval: float = 0.01) -> EvaluationReport:
    low, high = mean_return - half_interval, mean_return + half_interval
    statistics = PlayedEpisodes(
        episodes=100,
        mean_return=mean_return,
        std_return=half_interval,
        min_return=low,
        max_return=high,
        ci95_low=low,
        ci95_high=high,
        mean_length=8,
    )
    return EvaluationReport(
        run_id=run_id,
        seed=1,
        behaviors=(BehaviorEvaluation(behavior="Basic", deterministic=statistics),),
        mean_return=mean_return,
        ci95_low=low,
        ci95_high=high,
        warnings=(EvaluationWarning(behavior="", code="BuildUsesNetwork", cause="It did.", remedy="Do not."),),
        replays=(REPLAY,),
        wall_time_seconds=1,
    )


def comparison(run_id: str, incumbent: float, candidate: float, half_interval: float = 0.01) -> IncumbentComparison:
    """The policy of `run_id` played beside the candidate, and earned `incumbent`."""
    played = report(run_id, incumbent).behaviors[0].deterministic
    statistics = ReturnStatistics.model_validate(played.model_dump(include=set(ReturnStatistics.model_fields)))
    mean = candidate - incumbent
    difference = ReturnDifference(mean=mean, ci95_low=mean - half_interval, ci95_high=mean + half_interval)
    behavior = BehaviorComparison(behavior="Basic", incumbent=statistics, difference=difference)
    result = ComparisonResult(
        episodes=statistics.episodes,
        mean_return=incumbent,
        ci95_low=statistics.ci95_low,
        ci95_high=statistics.ci95_high,
        difference=difference,
        behaviors=(behavior,),
    )
    return IncumbentComparison(run_id=run_id, result=result)


def evaluation_files(run_id: str, mean_return: float, incumbent: IncumbentComparison | None = None) -> dict[str, bytes]:
    told = report(run_id, mean_return).model_copy(update={"incumbent": incumbent})
    documents = {"evaluation_report.json": told, "parity.json": PARITY}
    files = {name: one.model_dump_json().encode() for name, one in documents.items()}
    beside = {REPLAY.film: b"GIF89a", REPLAY.trajectory: b"PK"}
    page = b"<!DOCTYPE html><title>Evaluation</title>"
    return with_manifest(run_id, files | beside | {"evaluation_report.html": page})


def run_of(archive: bytes) -> str:
    """Whose artifact it is, by its manifest."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        manifest = files.extractfile("manifest.json")
        assert manifest is not None
        return ArtifactManifest.model_validate_json(manifest.read()).run_id


def invocation_answer(request: Mapping[str, Any], version: str) -> bytes:
    """Right answers: those that PARITY recorded."""
    pair = PARITY.pairs[0]
    assert request["observations"] == list(pair.observations)
    answer = {"version": version, "behavior": "Basic", "continuous": pair.continuous, "discrete": pair.discrete}
    return json.dumps(answer).encode()
