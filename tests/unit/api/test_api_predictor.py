"""The predictor: what it reads, when it reads it again, and what it never does."""

from dataclasses import dataclass, field

import pytest

from pipeline.api.predictor import MAX_AGE_SECONDS, MIN_AGE_SECONDS, Predictor
from pipeline.contracts.policy import ActionSpec, BehaviorSpec, CurrentPolicy, ObservationSpec, PolicySpec
from pipeline.errors import (
    InvalidObservationError,
    ModelError,
    NotYetConsistentError,
    PolicyNotFoundError,
    ServiceUnavailableError,
)
from pipeline.rules.observations import Checked
from pipeline.rules.questions import Question


@dataclass(frozen=True)
class Answer:
    version: str


@dataclass
class World:
    """A bucket, an endpoint and a clock, as far as the predictor sees them."""

    version: str = "v1"
    sizes: dict[str, int] = field(default_factory=lambda: {"v1": 2, "v2": 3})
    endpoint: str = "gamedojo-test-basic"
    serving: dict[str, str] = field(default_factory=lambda: {"gamedojo-test-basic": "v1"})
    exists: bool = True
    bucket_fails: bool = False
    now: float = 1000.0
    reads: list[str] = field(default_factory=list)
    invocations: list[str] = field(default_factory=list)

    def load_current(self, policy: str) -> bytes:
        self.reads.append(policy)
        if self.bucket_fails:
            raise ServiceUnavailableError("S3 is away")
        if not self.exists:
            raise PolicyNotFoundError(policy)
        current = CurrentPolicy(policy=policy, version=self.version, endpoint_name=self.endpoint, spec_key=self.version)
        return current.model_dump_json().encode()

    def load_spec(self, policy: str, key: str) -> bytes:
        self.reads.append(f"spec {key}")
        sensor = ObservationSpec(name="s", shape=(self.sizes[key],))
        behavior = BehaviorSpec(name="Basic", onnx="x", observations=(sensor,), actions=ActionSpec(continuous_size=1))
        return PolicySpec(policy=policy, version=key, behaviors=(behavior,)).model_dump_json().encode()

    def invoke(self, endpoint_name: str, size: int) -> Answer:
        self.invocations.append(endpoint_name)
        if endpoint_name not in self.serving:
            raise NotYetConsistentError("no such endpoint")
        version = self.serving[endpoint_name]
        if size != self.sizes[version]:
            raise InvalidObservationError("the container refused it")
        return Answer(version)

    def predictor(self) -> "Asked":
        return Asked(self, Predictor(self.load_current, self.load_spec, clock=lambda: self.now))


@dataclass
class Asked:
    """The predictor, before this world's endpoint."""

    world: World
    predictor: Predictor

    def predict(self, policy: str, size: int) -> Answer:
        def send(endpoint_name: str, checked: Checked) -> Answer:
            assert checked.batch_size is None
            return self.world.invoke(endpoint_name, size)

        return self.predictor.ask(policy, Question([[0.0] * size]), send).answer


def test_the_warm_path_reads_nothing_and_asks_once():
    world = World()
    predictor = world.predictor()
    for _ in range(5):
        assert predictor.predict("basic", 2).version == "v1"
        world.now += 1
    assert world.reads == ["basic", "spec v1"]
    assert len(world.invocations) == 5


def test_what_is_a_minute_old_is_read_again_but_not_its_spec():
    world = World()
    predictor = world.predictor()
    predictor.predict("basic", 2)
    world.now += MAX_AGE_SECONDS
    predictor.predict("basic", 2)
    assert world.reads == ["basic", "spec v1", "basic"]


def test_a_bucket_that_is_away_does_not_stop_a_policy_that_is_known():
    world = World()
    predictor = world.predictor()
    predictor.predict("basic", 2)
    world.now += MAX_AGE_SECONDS
    world.bucket_fails = True
    assert predictor.predict("basic", 2).version == "v1"
    with pytest.raises(ServiceUnavailableError):
        predictor.predict("other", 2)


def test_another_version_in_the_answer_refreshes_once_a_second_at_most():
    world = World(sizes={"v1": 2, "v2": 2})
    predictor = world.predictor()
    predictor.predict("basic", 2)
    world.serving[world.endpoint] = "v2"  # deployed, not yet verified: current.json still says v1
    world.now += MIN_AGE_SECONDS
    for _ in range(10):
        assert predictor.predict("basic", 2).version == "v2"
    assert world.reads == ["basic", "spec v1", "basic"]
    world.version = "v2"
    world.now += MIN_AGE_SECONDS
    predictor.predict("basic", 2)
    predictor.predict("basic", 2)
    assert world.reads == ["basic", "spec v1", "basic", "basic", "spec v2"]


def test_an_update_to_other_observations_is_noticed_without_an_error():
    world = World()
    predictor = world.predictor()
    predictor.predict("basic", 2)
    world.version = world.serving[world.endpoint] = "v2"
    world.now += MIN_AGE_SECONDS
    assert predictor.predict("basic", 3).version == "v2"
    with pytest.raises(InvalidObservationError, match=r"\[3\]"):
        predictor.predict("basic", 2)


def test_old_observations_are_refused_by_the_new_spec_after_the_container_refused_them():
    world = World()
    predictor = world.predictor()
    predictor.predict("basic", 2)
    world.version = world.serving[world.endpoint] = "v2"
    world.now += MIN_AGE_SECONDS
    with pytest.raises(InvalidObservationError, match=r"shape \[3\]"):
        predictor.predict("basic", 2)


def test_an_endpoint_that_moved_is_followed():
    world = World()
    predictor = world.predictor()
    predictor.predict("basic", 2)
    world.serving = {"gamedojo-test-basic-rt": "v1"}
    world.endpoint = "gamedojo-test-basic-rt"
    world.now += MIN_AGE_SECONDS
    assert predictor.predict("basic", 2).version == "v1"
    assert world.invocations[-2:] == ["gamedojo-test-basic", "gamedojo-test-basic-rt"]


def test_an_endpoint_that_is_gone_is_asked_once():
    world = World(serving={})
    predictor = world.predictor()
    with pytest.raises(NotYetConsistentError):
        predictor.predict("basic", 2)
    assert len(world.invocations) == 1


def test_a_policy_taken_out_of_service_is_gone_within_a_minute():
    world = World()
    predictor = world.predictor()
    predictor.predict("basic", 2)
    world.exists = False
    world.now += MAX_AGE_SECONDS
    with pytest.raises(PolicyNotFoundError):
        predictor.predict("basic", 2)


@pytest.mark.parametrize("name", ["Basic", "../runs", "a/b", "", "basic\n", "x" * 41])
def test_a_name_that_no_policy_can_have_reads_nothing(name):
    world = World()
    with pytest.raises(PolicyNotFoundError):
        world.predictor().predict(name, 2)
    assert world.reads == []


def test_a_model_that_fails_is_asked_once():
    world = World()
    predictor = world.predictor()

    def fail(endpoint_name: str, size: int) -> Answer:
        world.invocations.append(endpoint_name)
        raise ModelError("boom")

    world.invoke = fail  # type: ignore[method-assign]
    with pytest.raises(ModelError):
        predictor.predict("basic", 2)
    assert world.invocations == ["gamedojo-test-basic"]
