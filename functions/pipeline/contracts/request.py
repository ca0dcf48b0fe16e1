"""What a user asks for: the body of `POST /training-runs`, or `gamedojo.json` (or .yaml) at the root of a zip."""

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator

from pipeline.contracts.base import Contract, PolicyName, RunId
from pipeline.contracts.environments import EnvironmentId, Sha256
from pipeline.contracts.job import TrainingJobConfig
from pipeline.contracts.problem import FieldProblem
from pipeline.contracts.validation import InvalidDocumentError


class BuildSource(Contract):
    """A zip in the stack's bucket, by its key, or an environment that was mirrored there, by its id in the registry."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["key"]}, {"required": ["registry"]}]})

    key: str | None = Field(
        default=None, min_length=1, max_length=1024, description="below `uploads/`, `builds/` or `registry/`"
    )
    version_id: str | None = Field(default=None, description="of the key's object; left out: its present one")
    registry: EnvironmentId | None = Field(
        default=None, description="id of an environment that was mirrored, for example 3DBall, in place of a key"
    )
    sha256: Sha256 | None = Field(
        default=None, description="what the zip must have, in hexadecimal; a run on another one fails"
    )

    @model_validator(mode="after")
    def _names_one_build(self) -> "BuildSource":
        if (self.key is None) == (self.registry is None):
            raise ValueError("name a key or, of an environment that was mirrored, its id as registry; one of them")
        if self.registry is not None and self.version_id is not None:
            raise ValueError("version_id goes with a key; an environment is pinned by sha256")
        return self

    @property
    def located_key(self) -> str:
        """The key. A stored request always has one: the API has looked the environment up.

        Raises:
            InvalidDocumentError: an environment, which nobody has looked up.
        """
        if self.key is None:
            message = "an environment is looked up by the API alone; name its key"
            raise InvalidDocumentError([FieldProblem(field="build.registry", message=message)])
        return self.key


class Instances(Contract):
    """The machines of a job. MaxRuntime is at most 28 days (botocore: `MaxRuntimeInSeconds`)."""

    instance_type: str | None = Field(default=None, pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9]+$")
    instance_count: int = Field(default=1, ge=1, le=20)
    volume_size_gb: int = Field(default=30, ge=1, le=16384)
    max_runtime_seconds: int = Field(default=24 * 3600, ge=60, le=28 * 24 * 3600)
    spot: bool = Field(
        default=True, description="train on spare machines, which cost less; one taken away goes on from its checkpoint"
    )


class Evaluation(Contract):
    """How the trained policy is judged, and the gate that it must pass to be deployed."""

    episodes: int = Field(default=100, ge=1, le=100_000)
    seed: int = Field(default=1_000_003, ge=0, lt=2**31)
    min_mean_return: float | None = Field(default=None, description="gate; left out: any return may be deployed")
    success_return: float | None = Field(
        default=None, description="least return of an episode that is a success; left out: what stop.mean_return says"
    )
    promote_if: Literal["better", "not_worse", "always"] = Field(
        default="better",
        description="beside the policy in service, on the same seeds; better: the 95 % interval of the difference lies "
        "above 0; not_worse: it does not lie below 0; always: they are not compared",
    )
    replay_episodes: int = Field(
        default=3, ge=0, le=10, description="of each behavior, kept to be watched: a film, and what was seen and done"
    )
    max_runtime_seconds: int = Field(default=2 * 3600, ge=60, le=28 * 24 * 3600)


_REALTIME_TTL_HOURS = 24


class EndpointRequest(Contract):
    """How the policy is served. Serverless has no instances to pay for while nobody asks."""

    deploy: bool = True
    mode: Literal["serverless", "realtime"] = "serverless"
    memory_size_mb: Literal[1024, 2048, 3072, 4096, 5120, 6144] = 2048
    max_concurrency: int = Field(default=5, ge=1, le=200)
    instance_type: str = Field(default="ml.c7i.large", pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9]+$")
    instance_count: int = Field(
        default=1, ge=1, le=10, description="of a real-time endpoint; with max_instance_count, the fewest"
    )
    max_instance_count: int | None = Field(
        default=None,
        ge=1,
        le=20,
        description="of a real-time endpoint: instances come and go by what is asked, so many at most; left out: their "
        "number stays",
    )
    invocations_per_minute: int = Field(
        default=6000,
        ge=1,
        description="of one instance, which autoscaling aims at between the two numbers of instances",
    )
    max_latency_ms: float = Field(
        default=1000,
        gt=0,
        description="of a real-time endpoint's model, on average over a minute: an update beyond it is rolled back",
    )
    idle_ttl_hours: Annotated[int, Field(ge=1, le=720)] | Literal["never"] | None = Field(
        default=None,
        description="an endpoint that nobody asked for so long is taken down, until a wake brings it back; left out: "
        f"{_REALTIME_TTL_HOURS} of a real-time endpoint, never of a serverless one, which costs nothing while idle",
    )

    @property
    def is_scaled(self) -> bool:
        """True if the number of instances changes by what is asked."""
        return self.max_instance_count is not None

    @property
    def idle_ttl(self) -> timedelta | None:
        """How long nobody need ask before the endpoint is taken down; None: it stays."""
        match self.idle_ttl_hours:
            case int(hours):
                return timedelta(hours=hours)
            case None if self.mode == "realtime":
                return timedelta(hours=_REALTIME_TTL_HOURS)
        return None

    @model_validator(mode="after")
    def _instances_agree(self) -> "EndpointRequest":
        if self.max_instance_count is None:
            return self
        if self.mode != "realtime":
            raise ValueError(
                "max_instance_count is for the mode 'realtime'; a serverless endpoint scales by itself, up to "
                "max_concurrency"
            )
        if self.max_instance_count < self.instance_count:
            raise ValueError(f"max_instance_count must be at least instance_count, which is {self.instance_count}")
        return self


TrainerFile = Annotated[
    Annotated[str, Tag("form:text")] | Annotated[dict[str, Any], Tag("form:object")],
    Discriminator(lambda value: "form:object" if isinstance(value, dict) else "form:text"),
]


class RunOptions(TrainingJobConfig):
    """Every choice of a run but its policy and build. What `gamedojo.json` inside a zip may say."""

    mlagents: TrainerFile | None = Field(
        default=None,
        description="an ML-Agents trainer file, as its YAML text or as an object; what else is set here wins over it",
    )
    start_from: RunId | None = Field(
        default=None, description="begin with the best policies of this run, which must have the same networks"
    )
    priority: int = Field(
        default=0, ge=-10, le=10, description="of runs that wait for their turn: a point is worth six hours of waiting"
    )
    instances: Instances = Instances()
    max_cost_usd: float | None = Field(
        default=None, gt=0, description="the run is refused if training and evaluation could cost more"
    )
    evaluation: Evaluation = Evaluation()
    endpoint: EndpointRequest = EndpointRequest()

    def training_job(self) -> TrainingJobConfig:
        """The part that the training job is told."""
        return TrainingJobConfig.model_validate({name: getattr(self, name) for name in TrainingJobConfig.model_fields})


class TrainingRequest(RunOptions):
    """The body of `POST /training-runs`."""

    policy: PolicyName | None = Field(default=None, description="left out: made from the build's file name")
    build: BuildSource

    @model_validator(mode="after")
    def _key_is_an_upload(self) -> "TrainingRequest":
        if self.build.key is not None and not self.build.key.startswith(("uploads/", "builds/", "registry/")):
            raise ValueError("build.key must begin with 'uploads/', 'builds/' or 'registry/'")
        return self
