"""Job configuration as SageMaker hyperparameters: the round trip loses nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.contracts.job import (
    MAX_VALUE_CHARACTERS,
    BehaviorSettings,
    Environment,
    EvaluationJobConfig,
    Hyperparameters,
    Network,
    SelfPlay,
    StopRule,
    TrainingJobConfig,
    from_hyperparameters,
    to_hyperparameters,
)
from pipeline.contracts.parameters import (
    CompletionCriteria,
    Curriculum,
    Lesson,
    MultiRangeParameters,
    MultiRangeSampler,
    UniformParameters,
    UniformSampler,
)
from pipeline.contracts.request import RunOptions
from pipeline.contracts.validation import InvalidDocumentError, read_document


def maybe(strategy: st.SearchStrategy) -> st.SearchStrategy:
    return st.none() | strategy


reals = st.floats(allow_nan=False, allow_infinity=False)
unit = st.floats(0, 1)
names = st.text(st.characters(codec="ascii", categories=["L", "N"], include_characters="._- "), min_size=1, max_size=30)

samplers = st.one_of(
    st.builds(
        UniformSampler,
        sampler_type=st.just("uniform"),
        sampler_parameters=st.builds(UniformParameters, min_value=st.floats(-9, 0), max_value=st.floats(1, 9)),
    ),
    st.builds(
        MultiRangeSampler,
        sampler_type=st.just("multirangeuniform"),
        sampler_parameters=st.builds(
            MultiRangeParameters,
            intervals=st.lists(st.tuples(st.floats(-9, 0), st.floats(1, 9)), min_size=1, max_size=9).map(tuple),
        ),
    ),
)
criteria = st.builds(CompletionCriteria, behavior=names, threshold=unit, require_reset=st.booleans())
curricula = st.builds(
    lambda lessons, last: Curriculum(curriculum=(*lessons, last)),
    st.lists(st.builds(Lesson, name=names, value=reals | samplers, completion_criteria=criteria), max_size=4),
    st.builds(Lesson, name=names, value=reals),
)
environments = st.builds(
    Environment,
    executable=maybe(st.text(min_size=1, max_size=20)),
    arguments=st.lists(st.text(max_size=10), max_size=3).map(tuple),
    parameters=st.dictionaries(names, reals | samplers | curricula, max_size=4),
    time_scale=st.floats(0.01, 100),
    num_builds=maybe(st.integers(1, 64)),
    startup_timeout_seconds=st.floats(0.1, 1e6),
    step_timeout_seconds=st.floats(0.1, 1e6),
)
trainings = st.builds(
    TrainingJobConfig,
    hyperparameters=st.builds(
        Hyperparameters,
        lr=maybe(st.floats(1e-12, 1)),
        gamma=maybe(unit),
        lambda_=maybe(unit),
        entropy_coeff=maybe(st.floats(0, 1e9)),
        train_batch_size=maybe(st.integers(8, 10**9)),
        minibatch_size=maybe(st.integers(1, 10**9)),
    ),
    network=st.builds(
        Network,
        hidden_sizes=maybe(st.lists(st.integers(1, 4096), min_size=1, max_size=8).map(tuple)),
        activation=maybe(st.sampled_from(["tanh", "relu", "silu"])),
        normalize_observations=maybe(st.booleans()),
    ),
    stop=maybe(
        st.builds(
            StopRule,
            env_steps=maybe(st.integers(1, 10**12)),
            mean_return=reals,
            wall_time_seconds=maybe(st.floats(1e-3, 1e9)),
        )
    ),
    self_play=maybe(st.builds(SelfPlay, window=st.integers(1, 100))),
    behaviors=st.dictionaries(
        st.text(min_size=1, max_size=12),
        st.builds(BehaviorSettings, hyperparameters=st.builds(Hyperparameters, lr=maybe(st.floats(1e-12, 1)))),
        max_size=5,
    ),
    environment=environments,
    seed=st.integers(0, 2**31 - 1),
)


@given(trainings)
def test_a_training_configuration_survives_the_journey(config: TrainingJobConfig) -> None:
    hyperparameters = to_hyperparameters(config)
    assert all(isinstance(value, str) and len(value) <= MAX_VALUE_CHARACTERS for value in hyperparameters.values())
    assert from_hyperparameters(TrainingJobConfig, hyperparameters) == config


@given(st.builds(EvaluationJobConfig, episodes=st.integers(1, 100_000), environment=environments))
def test_an_evaluation_configuration_survives_the_journey(config: EvaluationJobConfig) -> None:
    assert from_hyperparameters(EvaluationJobConfig, to_hyperparameters(config)) == config


def test_small_learning_rates_stay_what_they_are() -> None:
    config = TrainingJobConfig(hyperparameters=Hyperparameters(lr=0.0003))
    assert to_hyperparameters(config)["hyperparameters.lr"] == "0.0003"


def test_a_bare_word_is_taken_as_a_string() -> None:
    assert from_hyperparameters(TrainingJobConfig, {"network.activation": "relu"}).network.activation == "relu"


def test_an_unknown_hyperparameter_is_named() -> None:
    with pytest.raises(InvalidDocumentError, match=r"hyperparameters\.gama: unknown field; did you mean 'gamma'"):
        from_hyperparameters(TrainingJobConfig, {"hyperparameters.gama": "0.9"})


@pytest.mark.parametrize("names", [("seed", "seed.deeper"), ("seed.deeper", "seed"), ("seed", "seed.a.b")])
def test_names_that_contradict_one_another_are_refused(names: tuple[str, str]) -> None:
    with pytest.raises(InvalidDocumentError, match=f"{names[1]}: contradicts"):
        from_hyperparameters(TrainingJobConfig, dict.fromkeys(names, "1"))


def test_the_options_of_a_run_give_the_training_job_its_part() -> None:
    options = RunOptions(seed=7, environment=Environment(parameters={"gravity": 9.8}), stop=StopRule(env_steps=10))
    job = options.training_job()
    assert (job.seed, job.environment, job.stop) == (7, options.environment, options.stop)


def test_a_long_value_is_put_together_again_in_whatever_order_its_parts_come() -> None:
    config = TrainingJobConfig(environment=Environment(arguments=tuple(f"--level={number}" for number in range(900))))
    parts = to_hyperparameters(config)
    assert {"environment.arguments#0", "environment.arguments#11"} < parts.keys()
    assert from_hyperparameters(TrainingJobConfig, dict(reversed(parts.items()))) == config


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ({"sampler_type": "uniform", "sampler_parameters": {"min_value": 2.0, "max_value": 1.0}}, "above max_value"),
        ({"curriculum": [{"name": "a", "value": 1.0}, {"name": "b", "value": 2.0}]}, "no completion_criteria"),
        ({"sampler_type": "poisson", "sampler_parameters": {}}, "uniform"),
    ],
)
def test_parameters_that_cannot_be_are_refused_by_name(parameter: object, message: str) -> None:
    with pytest.raises(InvalidDocumentError, match=r"environment\.parameters\.size") as refused:
        read_document(RunOptions, {"environment": {"parameters": {"size": parameter}}})
    assert message in str(refused.value)
