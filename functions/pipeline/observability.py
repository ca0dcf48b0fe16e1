"""Powertools, set up once: structured logs with the run in every line, traces, metrics."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel, ConfigDict

from pipeline.errors import PipelineError

logger = Logger()
tracer = Tracer()
metrics = Metrics()

Part = TypeVar("Part", bound=BaseModel)
Handler = Callable[[Mapping[str, Any], LambdaContext], dict[str, Any]]


class Task(BaseModel):
    """What the state machine gives to each of its Lambdas: who calls, from which state, and the state document."""

    model_config = ConfigDict(frozen=True)

    execution_arn: str
    state: str
    document: dict[str, Any]

    def part(self, name: str, model: type[Part]) -> Part:
        """A part of the state document; fields that a later state has added to it are passed over."""
        document = self.document[name]
        return model.model_validate({field: document[field] for field in model.model_fields if field in document})

    @property
    def run(self) -> dict[str, Any]:
        """`$.run`; empty before AdmitRun has answered."""
        found: dict[str, Any] = self.document.get("run") or {}
        return found


def state_handler(step: Callable[[Task], BaseModel]) -> Handler:
    """Make a Lambda handler of a function that answers a state's task.

    Errors leave under their own class names, because the state machine's Retry and Catch go by them.
    """

    def answer(event: Mapping[str, Any], _: LambdaContext) -> dict[str, Any]:
        task = Task.model_validate(event)
        # Before AdmitRun has answered, an API's event tells the run; of a dropped build only its answer does.
        known = _identity(task.run) or _identity(task.document)
        logger.append_keys(state=task.state, execution_arn=task.execution_arn, **known)
        metrics.add_dimension("state", task.state)
        return _observed(lambda: step(task))

    return _instrumented(answer)


def event_handler(step: Callable[[dict[str, Any]], BaseModel]) -> Handler:
    """Make a Lambda handler of a function that answers an event of EventBridge; errors leave as they are."""

    def answer(event: Mapping[str, Any], _: LambdaContext) -> dict[str, Any]:
        kind = str(event.get("detail-type", "event"))
        logger.append_keys(event=kind)
        metrics.add_dimension("state", kind)
        return _observed(lambda: step(dict(event)))

    return _instrumented(answer)


def _observed(work: Callable[[], BaseModel]) -> dict[str, Any]:
    """Count and log how it went."""
    try:
        result = work().model_dump(mode="json")
    except PipelineError as error:
        told = _without_secrets(error)
        metrics.add_metric(told.code(), MetricUnit.Count, 1)
        logger.warning("the state failed", code=told.code(), cause=told.cause, remedy=told.remedy)
        if told is error:
            raise
        raise told.with_traceback(error.__traceback__) from None  # what led to it would be printed with it
    except Exception:
        metrics.add_metric("Internal", MetricUnit.Count, 1)
        logger.exception("the state broke")
        raise
    metrics.add_metric("Completed", MetricUnit.Count, 1)
    logger.append_keys(**_identity(result))
    logger.info("the state is done", result=result)
    return result


def _without_secrets(error: PipelineError) -> PipelineError:
    """What a job printed last may be a key of somebody; Lambda and Step Functions keep what an error says."""
    from pipeline.rules.redaction import redact  # Predict does without, and without its patterns

    cause, remedy = redact(error.cause), redact(error.remedy)
    return error if (cause, remedy) == (error.cause, error.remedy) else type(error)(cause, remedy)


def _instrumented(answer: Handler) -> Handler:
    handler = logger.inject_lambda_context(clear_state=True)(answer)
    handler = metrics.log_metrics(raise_on_empty_metrics=False)(handler)
    traced: Handler = tracer.capture_lambda_handler(capture_response=False)(handler)
    return traced


def _identity(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: document[name] for name in ("run_id", "policy") if document.get(name)}
