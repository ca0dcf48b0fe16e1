"""What the state machine hands from Lambda to Lambda. State stays small: documents travel as S3 keys.

The execution's state document, as `train_and_deploy.asl.json` builds it up:

    $               what started it: EventBridge's event of S3, an ApiEvent, a RedriveEvent or a ServeEvent
    $.run           RunReference, by AdmitRun; every later Lambda gets it
    $.build         InspectedBuild, by InspectBuild
    $.turn          Turn (contracts/turns.py), by TakeTurn
    $.training      JobHandle by StartTraining, JobPoll by CheckTraining
    $.checkpoint    ExtractedCheckpoint, by ExtractCheckpoint; of a run that only serves, by ServedCheckpoint
    $.evaluation    JobHandle by StartEvaluation, JobPoll by CheckEvaluation
    $.promotion     Promotion, by DecidePromotion; of a run that only serves, by ServedPromotion
    $.endpoint      EndpointHandle by DeployEndpoint, EndpointPoll by CheckEndpoint
    $.verified      how much was compared, by VerifyEndpoint
    $.finished      the outcome, by FinishRun; the last Choice reads it
    $.error         {Error, Cause}, by any Catch
"""

from typing import Literal

from pydantic import Field

from pipeline.contracts.base import Contract, PolicyName, RunId


class ApiEvent(Contract):
    """The execution input that `POST /training-runs` makes. `request_key` holds the TrainingRequest."""

    source: Literal["gamedojo.api"] = "gamedojo.api"
    run_id: str
    request_key: str


class RedriveEvent(Contract):
    """The execution input that `POST /training-runs/{run_id}/redrive` makes: the run's record says everything."""

    source: Literal["gamedojo.redrive"] = "gamedojo.redrive"
    run_id: RunId
    attempt: int = Field(ge=2)

    @property
    def execution_name(self) -> str:
        """The same for the same attempt, so that a call that is repeated starts one execution."""
        return f"{self.run_id}-redrive-{self.attempt}"


class ServeEvent(Contract):
    """The execution input that a rollback or a wake makes: a version that was in service is to be so again."""

    source: Literal["gamedojo.serve"] = "gamedojo.serve"
    run_id: RunId
    policy: PolicyName
    version: RunId
    reason: str


class RunReference(Contract):
    """Identifies the run. `duplicate`: another execution has it already, so this one ends at once.

    `serves`: this run trains nothing, it brings that version into service again. `only_serves`: what the Choice reads.
    """

    run_id: str
    policy: str
    bucket: str
    build_key: str
    duplicate: bool = False
    serves: RunId | None = None
    only_serves: bool = False

    @property
    def version(self) -> str:
        """The version that the run puts into service: its own, as a rule."""
        return self.serves or self.run_id


class InspectedBuild(Contract):
    """Where the manifest lies; the full BuildManifest is in S3."""

    manifest_key: str
    executable: str


class JobHandle(Contract):
    """A SageMaker job that was just created."""

    job_name: str
    done: bool = False
    wait_seconds: int = Field(ge=1)
    started_at_epoch: int
    deadline_epoch: int


class JobPoll(JobHandle):
    """The same job, looked at again."""

    status: str
    secondary_status: str | None = None
    model_artifact_key: str | None = None


class ExtractedCheckpoint(Contract):
    """Keys below `runs/<run_id>/`."""

    checkpoint_prefix: str
    serving_artifact_key: str
    spec_key: str


class Promotion(Contract):
    """DecidePromotion's word; `promote` is what the Choice reads."""

    promote: bool
    report_key: str
    parity_key: str


class EndpointHandle(Contract):
    """An endpoint that was just created or updated."""

    endpoint_name: str
    config_name: str
    previous_config_name: str | None = None
    created: bool
    in_service: bool = False
    wait_seconds: int = Field(ge=1)
    started_at_epoch: int
    deadline_epoch: int


class EndpointPoll(EndpointHandle):
    """The same endpoint, looked at again."""

    status: str
