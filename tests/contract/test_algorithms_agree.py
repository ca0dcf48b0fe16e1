"""What a request is refused for is what the training job would refuse."""

import pytest

from pipeline.contracts.job import Hyperparameters, TrainingJobConfig
from pipeline.contracts.validation import InvalidDocumentError, read_document
from pipeline.rules.algorithms import OF_OTHERS, UNSUPPORTED, check_algorithm
from rl_src.envs.specs import ActionSpec, BehaviorSpec, ObservationSpec
from rl_src.training.errors import InvalidTrainingConfigError
from rl_src.training.settings import config as job
from rl_src.training.settings import presets

SPEC = BehaviorSpec("Any?team=0", (ObservationSpec("seen", (3,)),), ActionSpec(2, ()))
VALUES = {"lr_schedule": "linear", "entropy_schedule": "linear", "clip_schedule": "linear"}
VALUES |= {"clip_param": 0.5, "device": "cpu", "precision": "float32", "replay_capacity": 5000, "train_batch_size": 64}


def test_both_have_the_same_tables() -> None:
    assert OF_OTHERS == presets.SETTINGS_OF_OTHERS
    assert UNSUPPORTED == presets.UNSUPPORTED


@pytest.mark.parametrize("algorithm", OF_OTHERS)
@pytest.mark.parametrize("name", Hyperparameters.model_fields)
def test_both_refuse_the_same_hyperparameters(algorithm: str, name: str) -> None:
    value = VALUES.get(name, 1)
    asked = {"algorithm": algorithm, "hyperparameters": {name: value}}
    try:
        check_algorithm(read_document(TrainingJobConfig, asked))
        refused = False
    except InvalidDocumentError:
        refused = True
    hyperparameters = job.Hyperparameters(**{name: value})
    training = job.TrainingConfig(None, algorithm=algorithm, hyperparameters=hyperparameters)  # type: ignore[arg-type]
    if refused:
        with pytest.raises(InvalidTrainingConfigError):
            presets.resolve(training, SPEC, 1)
    else:
        presets.resolve(training, SPEC, 1)
