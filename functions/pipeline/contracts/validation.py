"""Reading a document: every error names the field, what is wrong with it and what would be right."""

import json
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from itertools import accumulate, islice
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, Tag, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from pipeline.contracts.problem import FieldProblem

Model = TypeVar("Model", bound=BaseModel)

MOST_PROBLEMS = 20
"""Told of one document; who mends these is told of the next."""

_MOST_LOOKED_AT = 100
_LONGEST_FIELD, _LONGEST_MESSAGE, _LONGEST_SENTENCE = 200, 2000, 800
_TAG = "form:"
_FORMS = ("list[", "dict[", "literal[", "constrained-", _TAG)
"""How names of a form begin that pydantic, or a contract's own tags, put into the path of a field of several forms."""

_NAMES_ELSEWHERE = {
    # what ML-Agents, Stable-Baselines3 and papers call a hyperparameter
    "learning_rate": "lr",
    "lambd": "lambda_",
    "lambda": "lambda_",
    "gae_lambda": "lambda_",
    "epsilon": "clip_param",
    "clip_range": "clip_param",
    "beta": "entropy_coeff",
    "ent_coef": "entropy_coeff",
    "vf_coef": "vf_loss_coeff",
    "max_grad_norm": "grad_clip",
    "buffer_size": "train_batch_size",
    "n_steps": "train_batch_size",
    "batch_size": "minibatch_size",
    "discount": "gamma",
    "max_steps": "env_steps",
    "total_timesteps": "env_steps",
}


class InvalidDocumentError(ValueError):
    """A document breaks its contract; `problems` has one entry for each field that is wrong."""

    def __init__(self, problems: Iterable[FieldProblem]) -> None:
        told = [_printable(problem) for problem in islice(problems, MOST_PROBLEMS + 1)]
        if len(told) > MOST_PROBLEMS:
            told[MOST_PROBLEMS] = FieldProblem(field="", message="and more fields than these are wrong")
        self.problems = tuple(told)
        super().__init__(_in_words(self.problems))


def read_document(model: type[Model], document: str | bytes | Mapping[str, Any]) -> Model:
    """Read a JSON text, or an already parsed object, as `model`.

    Types are taken strictly (a string is no number), and a name that the contract does not know is refused with the
    nearest one that it does.

    Raises:
        InvalidDocumentError: the text is no JSON object, or breaks the contract.
    """
    text = document if isinstance(document, str | bytes) else json.dumps(document)
    try:
        return model.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise _invalid(model, error) from error


def read_object(model: type[Model], document: object) -> Model:
    """Read what another format than JSON has held as `model`, as strictly.

    Raises:
        InvalidDocumentError: it is no object, or breaks the contract.
    """
    try:
        return model.model_validate(document, strict=True)
    except ValidationError as error:
        raise _invalid(model, error) from error


def _invalid(model: type[BaseModel], error: ValidationError) -> InvalidDocumentError:
    details = islice(error.errors(include_url=False, include_input=False), _MOST_LOOKED_AT)
    return InvalidDocumentError(_most_precise([_problem(model, detail) for detail in details]))


def _in_words(problems: Sequence[FieldProblem]) -> str:
    """As many as a sentence can bear, one at least."""
    words = [f"{problem.field}: {problem.message}" if problem.field else problem.message for problem in problems]
    ends = accumulate(len(each) for each in words)
    told = [each for each, end in zip(words, ends, strict=True) if end <= _LONGEST_SENTENCE] or words[:1]
    return "; ".join(told) + ("; and more" if len(told) < len(words) else "")


def _printable(problem: FieldProblem) -> FieldProblem:
    """Names are the sender's: none is to fill a screen, or to turn it round."""
    return FieldProblem(field=_shown(problem.field, _LONGEST_FIELD), message=_shown(problem.message, _LONGEST_MESSAGE))


def _shown(text: str, most: int) -> str:
    if len(text) > most:
        text = f"{text[:most]}…"
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _most_precise(problems: list[FieldProblem]) -> list[FieldProblem]:
    """Without those that call a whole wrong of which a part is named too: they speak of a form that was not meant."""
    fields = [problem.field for problem in problems]
    return [p for p in problems if not any(other.startswith(f"{p.field}.") for other in fields)]


def _problem(model: type[BaseModel], detail: ErrorDetails) -> FieldProblem:
    # Of a field that may have several forms, the path names one: `observations.list[list[any]].0`
    location = tuple(part for part in detail["loc"] if not str(part).startswith(_FORMS))
    field = ".".join(str(part) for part in location)
    if detail["type"] == "extra_forbidden":
        return _unknown_field(_field_names(model, detail["loc"][:-1]), location, field)
    if detail["type"] == "json_invalid":
        return FieldProblem(field="", message=f"not JSON: {detail['ctx']['error']}")
    return FieldProblem(field=field, message=detail["msg"])


def _unknown_field(known: list[str], location: tuple[int | str, ...], field: str) -> FieldProblem:
    name = str(location[-1])
    meant = _NAMES_ELSEWHERE.get(name)
    nearest = [meant] if meant in known else get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {nearest[0]!r}?" if nearest else f"known here: {', '.join(sorted(known))}"
    return FieldProblem(field=field, message=f"unknown field; {hint}")


def _field_names(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """The names that the object at `path` may have.

    A contract's own tag chooses a form; other steps of a path that name no field (list indices, say) are passed over.
    """
    current: object = model
    for step in path:
        if str(step).startswith(_TAG):
            current = _form_in(current, Tag(str(step))) or current
        elif (field := _fields_in(current).get(str(step))) and _model_in(field.annotation):
            current = field.annotation
    return list(_fields_in(current))


def _fields_in(annotation: object) -> Mapping[str, FieldInfo]:
    found = _model_in(annotation)
    return found.model_fields if found else {}


def _form_in(annotation: object, tag: Tag) -> object | None:
    """The form of this tag inside a union."""
    if tag in getattr(annotation, "__metadata__", ()):
        return annotation
    return next((found for part in get_args(annotation) if (found := _form_in(part, tag))), None)


def _model_in(annotation: object) -> type[BaseModel] | None:
    """The first pydantic model inside an annotation such as `Model`, `Model | None` or `tuple[Model, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)
