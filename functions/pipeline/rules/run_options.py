"""What a run is told in the end: the request's own fields over those of an ML-Agents trainer file.

Which fields a request sets itself is known of one that was just read, or that was stored with these fields alone
(`as_asked`); of any other, a field that was left out looks like one that was set to its default.
"""

import json
from collections.abc import Mapping
from typing import Any

from pipeline.contracts.build import BuildManifest, TrainerFile
from pipeline.contracts.job import BehaviorSettings, to_hyperparameters
from pipeline.contracts.notes import SettingNote
from pipeline.contracts.problem import FieldProblem
from pipeline.contracts.request import RunOptions
from pipeline.contracts.validation import InvalidDocumentError, Model, read_document
from pipeline.errors import InvalidRequestError
from pipeline.rules.algorithms import check_algorithm
from pipeline.rules.mlagents_settings import read_trainer_file
from pipeline.rules.recordings import with_recordings
from pipeline.rules.sagemaker_rl import PREFIX, expand
from pipeline.rules.yaml_documents import UnreadableYamlError, load_yaml

MAX_HYPERPARAMETERS = 100
"""botocore: `HyperParameters`, of CreateTrainingJob. A long value takes several (`contracts.job`)."""

_FIELD = "mlagents"
_OPEN = frozenset({"hyperparameters", "network", "environment", "parameters", "behaviors"})
"""Fields that are laid over one another name by name; any other replaces what was there whole, as a stop rule does."""

Notes = tuple[SettingNote, ...]


def read_request(model: type[Model], text: str | bytes) -> Model:
    """Read options in which hyperparameters may have SageMaker RL's names and `mlagents` holds a trainer file.

    Raises:
        InvalidDocumentError: the text breaks its contract, its trainer file cannot be taken over, or a setting is
            another algorithm's.
    """
    named = PREFIX in text if isinstance(text, str) else PREFIX.encode() in text
    document = _parsed(text) if named else None
    request = read_document(model, text if document is None else expand(document))
    if isinstance(request, RunOptions):
        options, _ = settle(request)
        _check_size(options)
        if request.model_fields_set & {"algorithm", _FIELD}:  # else a trainer file in the zip may choose it
            check_algorithm(options)
    return request


def as_asked(request: RunOptions) -> bytes:
    """The request as JSON, with the fields alone that it sets itself."""
    return request.model_dump_json(exclude_unset=True, indent=2).encode()


def settle(asked: RunOptions) -> tuple[RunOptions, Notes]:
    """The options with the request's trainer file, where it has one, taken over into the other fields.

    Raises:
        InvalidDocumentError: what is wrong with the trainer file, by its path in the request.
    """
    if asked.mlagents is None:
        return _options(asked), ()
    try:
        document = load_yaml(asked.mlagents) if isinstance(asked.mlagents, str) else asked.mlagents
    except UnreadableYamlError as error:
        raise InvalidDocumentError([FieldProblem(field=_FIELD, message=f"not YAML: {error}")]) from error
    if not isinstance(document, Mapping):
        raise InvalidDocumentError([FieldProblem(field=_FIELD, message="holds no settings")])
    try:
        fields, notes = read_trainer_file(document)
    except InvalidDocumentError as error:
        raise InvalidDocumentError(
            FieldProblem(field=f"{_FIELD}.{problem.field}".rstrip("."), message=problem.message)
            for problem in error.problems
        ) from error
    return _laid_over(fields, asked), tuple(notes)


def settle_with_build(asked: RunOptions, build: BuildManifest) -> tuple[RunOptions, Notes]:
    """The same, with the build known: its trainer file serves where the request has none, its recordings are found.

    Raises:
        InvalidRequestError: the trainer file cannot be taken over, a setting is another algorithm's, or a recording is
            not in the zip.
    """
    found = build.trainer_file
    try:
        options, notes = _of_file(found, asked) if found and asked.mlagents is None else settle(asked)
        _check_size(options)
        check_algorithm(options)
    except InvalidDocumentError as error:
        raise InvalidRequestError(f"{found.path} in the zip: {error}" if found else str(error)) from error
    return with_recordings(options, build.recordings), notes


def _of_file(found: TrainerFile, asked: RunOptions) -> tuple[RunOptions, Notes]:
    fields, notes = read_trainer_file(found.document)
    used = SettingNote(setting=found.path, note="an ML-Agents trainer file in the zip; the request's own fields win")
    return _laid_over(fields, asked), (used, *notes)


def _laid_over(fields: Mapping[str, Any], asked: RunOptions) -> RunOptions:
    """A field that the request sets for all behaviors wins over the file's of each, too."""
    explicit = asked.model_dump(mode="json", exclude_unset=True, include=RunOptions.model_fields.keys() - {_FIELD})
    for_all = {name: value for name, value in explicit.items() if name in BehaviorSettings.model_fields}
    behaviors = {name: _overlay(own, for_all) for name, own in fields.get("behaviors", {}).items()}
    return read_document(RunOptions, _overlay({**fields, "behaviors": behaviors}, explicit))


def _overlay(base: Mapping[str, Any], over: Mapping[str, Any], every_name: bool = False) -> dict[str, Any]:
    result = dict(base)
    for name, value in over.items():
        known = result.get(name)
        if (every_name or name in _OPEN) and isinstance(known, Mapping) and isinstance(value, Mapping):
            result[name] = _overlay(known, value, name == "behaviors")
        else:
            result[name] = value
    return result


def _check_size(options: RunOptions) -> None:
    entries = {**to_hyperparameters(options.training_job()), "environment.executable": ""}  # which is added later
    if len(entries) <= MAX_HYPERPARAMETERS:
        return
    several = ("behaviors", "environment.parameters", "environment.arguments")
    large = max(several, key=lambda name: sum(entry.startswith(name) for entry in entries))
    message = f"too much for a training job: SageMaker takes {MAX_HYPERPARAMETERS} hyperparameters, and these are"
    raise InvalidDocumentError([FieldProblem(field=large, message=f"{message} {len(entries)}; leave some out")])


def _options(asked: RunOptions) -> RunOptions:
    """Of a request, the options alone."""
    return RunOptions.model_validate({name: getattr(asked, name) for name in RunOptions.model_fields})


def _parsed(text: str | bytes) -> dict[str, Any] | None:
    """None: no JSON object, as `read_document` will say."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None
