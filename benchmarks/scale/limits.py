"""Quotas and prices by name, each with where it is from. Both change: Service Quotas of the account says what holds."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limit:
    """One quota of us-east-1. `value` None: it differs from account to account."""

    name: str
    value: float | None
    raised: bool
    """Whether AWS raises it on request; ours are parameters of the template."""
    source: str


_STEP_FUNCTIONS = "Step Functions guide, service quotas"
_LAMBDA = "Lambda guide, quotas"
_GATEWAY = "API Gateway guide, quotas"
_DYNAMODB = "DynamoDB guide, quotas; partition key design"
_SAGEMAKER = "SageMaker endpoints and quotas (AWS General Reference)"

LIMITS = {
    "turns": Limit("`MaxConcurrentRuns`", 10, True, "template.yaml"),
    "places": Limit("places in the queue of turns", 3000, False, "`rules/turns.py`, by DynamoDB's 400 KB an item"),
    "training_instances": Limit(
        "instances of the training type, spot", None, True, f"{_SAGEMAKER}; often 0 in a new account"
    ),
    "serverless_endpoints": Limit("serverless endpoints", 50, True, _SAGEMAKER),
    "serverless_concurrency": Limit(
        "concurrency of all serverless endpoints",
        200,
        True,
        "SageMaker guide; users of new accounts report 10 (re:Post)",
    ),
    "alarms": Limit("CloudWatch alarms", 5000, True, "CloudWatch guide, quotas"),
    "transitions": Limit("state transitions a second", 5000, True, f"{_STEP_FUNCTIONS}; 800 in small regions"),
    "starts": Limit("StartExecution a second", 300, True, f"{_STEP_FUNCTIONS}; 1,300 at once"),
    "executions": Limit("open executions", 1_000_000, True, _STEP_FUNCTIONS),
    "history": Limit("history events of an execution", 25_000, False, _STEP_FUNCTIONS),
    "lambdas": Limit("Lambdas at once", 1000, True, f"{_LAMBDA}; a new account may have 10"),
    "requests": Limit("requests a second to all APIs", 10_000, True, f"{_GATEWAY}; 5,000 at once"),
    "key_requests": Limit("`PredictRateLimit`, of each key", 1000, True, "template.yaml"),
    "partition_writes": Limit("write units a second of one partition key", 1000, False, _DYNAMODB),
}

TRANSITION_USD = 25e-6
INVOCATION_USD = 0.2e-6
GIGABYTE_SECOND_USD = 16.6667e-6
WRITE_UNIT_USD = 0.625e-6
LOG_GIGABYTE_USD = 0.5
STORED_GIGABYTE_USD = 0.023
REQUEST_USD = 3.5e-6
TRACE_USD = 5e-6
SERVERLESS_SECOND_USD = 40e-6
"""Of 2 GB, the default of `endpoint.memory_size_mb`."""
SERVERLESS_GIGABYTE_USD = 0.016
BALANCER_HOUR_USD = 0.0305
"""An Application Load Balancer with one capacity unit."""
PRICES = (
    "us-east-1, 2025, without free tiers: the pricing pages of Step Functions, Lambda, DynamoDB (on demand), "
    "CloudWatch Logs, S3, API Gateway (REST), X-Ray, SageMaker (serverless inference), Elastic Load Balancing"
)
OVER_EC2 = 1.2
"""SageMaker's price of a machine over EC2's of the same size (`rules/instance_prices.json`, "derived")."""
