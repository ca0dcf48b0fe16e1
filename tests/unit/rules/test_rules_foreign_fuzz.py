"""Whatever stands in a trainer file or in flat hyperparameters: it is taken over, or refused by a setting's path."""

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipeline.contracts.problem import FieldProblem
from pipeline.contracts.request import RunOptions
from pipeline.contracts.validation import InvalidDocumentError, read_document
from pipeline.rules.mlagents_settings import read_trainer_file
from pipeline.rules.sagemaker_rl import expand


def problems_of(read: Callable[[], object]) -> tuple[FieldProblem, ...]:
    """What is refused; anything else that is raised is an error of ours."""
    try:
        read()
    except InvalidDocumentError as error:
        return error.problems
    return ()


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3000),
    st.floats(),
    st.sampled_from(["ppo", "sac", "linear", "simple", "3e-4", "", "hyper", "uniform", "constant", "10" * 200]),
)
ANY = SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(st.sampled_from(["a", "value"]), SCALARS, max_size=1)


def mapping(**fields: Any) -> Any:
    """Any of the fields, each as described or as anything else; or no mapping at all."""
    optional = {name: ANY if value is None else value | ANY for name, value in fields.items()}
    return st.fixed_dictionaries({}, optional=optional) | ANY


def named(*names: str) -> Any:
    return mapping(**dict.fromkeys(names))


SAMPLER = mapping(
    sampler_type=st.sampled_from(["uniform", "gaussian", "multirangeuniform", "constant"]),
    sampler_parameters=named("min_value", "max_value", "mean", "st_dev", "intervals", "value", "seed"),
)
LESSON = mapping(
    name=None, value=SAMPLER, completion_criteria=named("behavior", "measure", "threshold", "require_reset")
)
SIGNAL = mapping(gamma=None, strength=None, encoding_size=None, network_settings=named("hidden_units", "num_layers"))
BEHAVIOR = mapping(
    trainer_type=st.just("ppo"),
    max_steps=None,
    init_path=None,
    hyperparameters=named("batch_size", "buffer_size", "learning_rate", "learning_rate_schedule", "beta_schedule"),
    network_settings=mapping(
        hidden_units=None,
        num_layers=None,
        normalize=None,
        vis_encode_type=None,
        memory=named("memory_size", "sequence_length"),
    ),
    reward_signals=mapping(extrinsic=SIGNAL, curiosity=SIGNAL, rnd=SIGNAL, gail=SIGNAL),
    self_play=named("save_steps", "team_change", "window"),
    behavioral_cloning=named("demo_path", "steps", "strength", "batch_size"),
)
FILE = mapping(
    default_settings=BEHAVIOR,
    behaviors=st.dictionaries(st.sampled_from(["A", "B", "C.d"]), BEHAVIOR),
    environment_parameters=mapping(a=SAMPLER, b=mapping(curriculum=st.lists(LESSON, max_size=3))),
    env_settings=named("env_args", "num_envs", "seed", "timeout_wait", "num_areas"),
    engine_settings=named("time_scale", "no_graphics", "width"),
    checkpoint_settings=named("resume", "initialize_from", "run_id"),
)


@example({"behaviors": {"A": {"trainer_type": []}}})
@example({"behaviors": {"A": {"hyperparameters": {"learning_rate_schedule": {}}}}})
@given(FILE.filter(lambda document: isinstance(document, dict)))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_trainer_file_is_taken_over_or_refused(document):
    for problem in problems_of(lambda: read_document(RunOptions, read_trainer_file(document)[0])):
        assert problem.field
        assert problem.message


NAMES = ("run", "config.lr", "config.seed", "config.model.fcnet_hiddens", "config.model.use_lstm", "stop.time_total_s")
FLAT = st.sampled_from([f"rl.training.{name}" for name in NAMES])


@given(st.dictionaries(FLAT | st.text(max_size=5), ANY))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_flat_hyperparameters_are_taken_over_or_refused(hyperparameters):
    for problem in problems_of(lambda: read_document(RunOptions, expand({"hyperparameters": hyperparameters}))):
        assert problem.message
