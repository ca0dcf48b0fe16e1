"""What AWS answers where a call meets another change, and where what it is about is not there.

By the errors of botocore's service models; SageMaker's plain ValidationException and S3's errors by their API
references. Where AWS has no such answer, the reason stands in its place.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

Request = Mapping[str, Any]


class Refusal(NamedTuple):
    """An error of AWS, as botocore reads it."""

    code: str
    message: str
    status: int = 400
    again: bool = False
    """The same call was carried out before, and its answer was lost: botocore's own next try is told this."""


Answer = Refusal | str
"""The refusal, or why there is none."""

_Rule = Answer | Callable[[Request, Any], Answer]
"""Of the request, and of what AWS answers where nothing goes wrong (None: an error, or not known yet)."""

UNKNOWN = "no state of a run is known to call it"
_READ = "a call that only reads is in nobody's way"
_LIST = "of what is not there, a list says nothing"


def conflict(service: str, operation: str, request: Request, answer: Any) -> Answer:
    """What the call is told where another change is, or was, at the same thing."""
    return _answer(_CONFLICTS, service, operation, request, answer)


def not_found(service: str, operation: str, request: Request, answer: Any) -> Answer:
    """What the call is told where the thing that it names is not there, not yet, or not any more."""
    return _answer(_NOT_FOUND, service, operation, request, answer)


def calls() -> set[tuple[str, str]]:
    """Services and operations that are known here."""
    return set(_CONFLICTS) | set(_NOT_FOUND)


def only_reads(operation: str) -> bool:
    """Whether the call may be made once more without a trace."""
    return operation.startswith(("get_", "head_", "describe_", "list_"))


def _answer(
    rules: Mapping[tuple[str, str], _Rule], service: str, operation: str, request: Request, answer: Any
) -> Answer:
    rule = rules.get((service, operation), UNKNOWN)
    return rule(request, answer) if callable(rule) else rule


def _written(request: Request, answer: Any) -> Answer:
    """DynamoDB refuses a write whose condition does not hold (any more), and one that a transaction is at."""
    condition = request.get("ConditionExpression")
    if condition is None:
        return Refusal("TransactionConflictException", "Transaction is ongoing for the item")
    # These two hold, unless the same write has come before: nobody else admits this run or holds this run's lease.
    again = condition in {"attribute_not_exists(run_id)", "lease_run_id = :run"}
    return Refusal("ConditionalCheckFailedException", "The conditional request failed", again=again)


def _missing_endpoint(request: Request, answer: Any) -> Answer:
    if answer is not None and answer["EndpointStatus"] != "Creating":
        return "SageMaker knows an endpoint once it was described, until it is deleted"
    return _invalid("Could not find endpoint")


def _invalid(message: str, *, again: bool = False) -> Refusal:
    return Refusal("ValidationException", message, again=again)


_ABORTED = Refusal("OperationAborted", "A conflicting conditional operation is currently in progress.", 409)
_NO_BUCKET = Refusal("NoSuchBucket", "The specified bucket does not exist", 404)
_NO_KEY = Refusal("NoSuchKey", "The specified key does not exist.", 404)
_NO_TABLE = Refusal("ResourceNotFoundException", "Requested resource not found")
_NO_LOG = Refusal("ResourceNotFoundException", "The specified log group does not exist.")
_CONCURRENT = Refusal("ConcurrentUpdateException", "Concurrent modification of the scalable target")
_NO_TARGET = Refusal("ObjectNotFoundException", "No scalable target found")

_CONFLICTS: dict[tuple[str, str], _Rule] = {
    ("dynamodb", "get_item"): _READ,
    ("dynamodb", "put_item"): _written,
    ("dynamodb", "update_item"): _written,
    ("s3", "get_object"): _READ,
    ("s3", "head_object"): _READ,
    ("s3", "put_object"): _ABORTED,
    ("s3", "copy_object"): _ABORTED,
    ("s3", "delete_object"): _ABORTED,
    ("sagemaker", "create_training_job"): Refusal("ResourceInUse", "Training job names must be unique", again=True),
    ("sagemaker", "describe_training_job"): _READ,
    ("sagemaker", "stop_training_job"): _invalid("The job is Stopping", again=True),
    ("sagemaker", "create_model"): _invalid("Cannot create already existing model", again=True),
    ("sagemaker", "create_endpoint_config"): _invalid("Cannot create already existing configuration", again=True),
    ("sagemaker", "create_endpoint"): _invalid("Cannot create already existing endpoint", again=True),
    ("sagemaker", "update_endpoint"): _invalid("Cannot update in-progress endpoint"),
    ("sagemaker", "describe_endpoint"): _READ,
    ("sagemaker", "describe_endpoint_config"): _READ,
    ("sagemaker", "delete_endpoint"): _invalid("Cannot delete in-progress endpoint"),
    ("sagemaker_runtime", "invoke_endpoint"): _READ,
    ("sns", "publish"): "any number of messages are published side by side",
    ("logs", "describe_log_streams"): _READ,
    ("logs", "get_log_events"): _READ,
    ("cloudwatch", "put_metric_alarm"): "of two alarms of one name the last one stands",
    ("cloudwatch", "describe_alarms"): _READ,
    ("cloudwatch", "delete_alarms"): Refusal("ResourceConflict", "The alarm is being changed", 409),
    ("application_autoscaling", "register_scalable_target"): _CONCURRENT,
    ("application_autoscaling", "put_scaling_policy"): _CONCURRENT,
    ("application_autoscaling", "deregister_scalable_target"): _CONCURRENT,
}

_NOT_FOUND: dict[tuple[str, str], _Rule] = {
    ("dynamodb", "get_item"): _NO_TABLE,
    ("dynamodb", "put_item"): _NO_TABLE,
    ("dynamodb", "update_item"): _NO_TABLE,
    ("s3", "get_object"): _NO_KEY,
    ("s3", "head_object"): Refusal("404", "Not Found", 404),  # an answer without a body names no code
    ("s3", "put_object"): _NO_BUCKET,
    ("s3", "copy_object"): _NO_KEY,
    ("s3", "delete_object"): _NO_BUCKET,
    ("sagemaker", "create_training_job"): Refusal("ResourceNotFound", "Requested resource not found"),
    ("sagemaker", "describe_training_job"): _invalid("Requested resource not found"),
    ("sagemaker", "stop_training_job"): "SageMaker forgets no training job",
    ("sagemaker", "create_model"): _invalid("Could not find model data"),
    ("sagemaker", "create_endpoint_config"): _invalid("Could not find model"),
    ("sagemaker", "create_endpoint"): _invalid("Could not find endpoint configuration"),
    ("sagemaker", "update_endpoint"): _invalid("Could not find endpoint configuration"),
    ("sagemaker", "describe_endpoint"): _missing_endpoint,
    ("sagemaker", "describe_endpoint_config"): _invalid("Could not find endpoint configuration"),
    ("sagemaker", "delete_endpoint"): _invalid("Could not find endpoint", again=True),
    ("sagemaker_runtime", "invoke_endpoint"): Refusal("ValidationError", "Endpoint not found."),
    ("sns", "publish"): Refusal("NotFound", "Topic does not exist", 404),
    ("logs", "describe_log_streams"): _NO_LOG,
    ("logs", "get_log_events"): _NO_LOG,
    ("cloudwatch", "put_metric_alarm"): "an alarm that is not there is made",
    ("cloudwatch", "describe_alarms"): _LIST,
    ("cloudwatch", "delete_alarms"): Refusal("ResourceNotFound", "The alarm does not exist", 404, again=True),
    ("application_autoscaling", "register_scalable_target"): _invalid("Could not find endpoint"),
    ("application_autoscaling", "put_scaling_policy"): _NO_TARGET,
    ("application_autoscaling", "deregister_scalable_target"): _NO_TARGET._replace(again=True),
}
