"""The whole state machine in one process: moto runs the definition, its tasks are the real handlers.

moto's interpreter is strict where the emulator is not (a missing path fails). Its pauses are not waited for but written
down; SageMaker and its runtime are the doubles of `sagemaker_double`.
"""

import contextlib
import importlib
import io
import json
import re
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from unittest.mock import patch

from moto import mock_aws
from moto.awslambda_simple.models import LambdaSimpleBackend
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.wait_function import WaitFunction
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.parser.models import StepFunctionsParserBackend, stepfunctions_parser_backends
from s3transfer.futures import BoundedExecutor

from pipeline.aws import clients
from pipeline.aws.policies_table import PoliciesTable
from pipeline.aws.runs_table import RunsTable
from pipeline.aws.turns_table import TurnsTable
from pipeline.contracts.evaluation import IncumbentComparison
from pipeline.contracts.run import RunRecord
from tests.fakes import artifact_archives, recorded_calls
from tests.fakes.control_stack import (
    BUCKET,
    MACHINE_ROLE,
    OPERATORS,
    REGION,
    LambdaContext,
    forget_handlers,
    moto_client,
    sample_event,
)
from tests.fakes.expanded_template import STATE_MACHINE, resources
from tests.fakes.faulty_clients import CrashError, Faults, FaultyClient, TransferCrashError
from tests.fakes.sagemaker_double import SageMakerDouble

PREFIX = "gamedojo-test"
_PLACEHOLDER = re.compile(r"\$\{(\w+)FunctionArn\}")
_TABLE_PROPERTIES = {"AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode"}
_PARSED = cache(AmazonStateLanguageParser.parse)
"""A parsed definition holds nothing of an execution, and parsing takes half a second."""

_CONFIG: Any = {"stepfunctions": {"execute_state_machine": True}, "lambda": {"use_docker": False}}


def folder(state: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", state).lower()


@dataclass
class RuntimeDouble:
    """InvokeEndpoint: what `answer` makes of the request and the version that is behind the endpoint."""

    sagemaker: SageMakerDouble
    answer: Callable[[Any, str], bytes] = artifact_archives.invocation_answer
    faults: list[Exception] = field(default_factory=list)

    def invoke_endpoint(self, **request: Any) -> dict[str, Any]:
        recorded_calls.note("sagemaker-runtime", "InvokeEndpoint", request)
        if self.faults:
            raise self.faults.pop(0)
        model = self.sagemaker.served_model(request["EndpointName"])
        version = next(tag["Value"] for tag in model["Tags"] if tag["Key"] == "run_id")
        return {"Body": io.BytesIO(self.answer(json.loads(request["Body"]), version))}


BETTER_AND_BETTER = (0.8, 0.9, 0.93)
"""Mean returns, each clearly above the one before it: every run's policy is deployed."""


@dataclass(repr=False)
class PipelineStack:
    queue_url: str
    sagemaker: SageMakerDouble
    runtime: RuntimeDouble
    runs: RunsTable
    policies: PoliciesTable
    turns: TurnsTable
    s3: Any
    sfn: Any
    sqs: Any
    logs: Any
    cloudwatch: Any
    autoscaling: Any
    machine_arn: str = ""
    returns: list[float] = field(default_factory=lambda: [0.93])
    """Mean return of each evaluation, in order; the last one stays."""
    returned: dict[str, float] = field(default_factory=dict)
    """Mean return that each run's evaluation has told."""
    pauses: list[float] = field(default_factory=list)
    """Seconds of every Wait state and of every retry."""
    broken: dict[str, list[Exception]] = field(default_factory=dict)
    """Errors that a state's Lambda raises instead of doing its work, by state, in order."""
    faults: Faults = field(default_factory=Faults)
    """What goes wrong between the Lambdas and AWS."""
    turn: Callable[[str, str], None] = lambda execution, state: None
    """Called with the execution's ARN before each task, which begins when it returns."""

    def put(self, key: str, body: bytes) -> dict[str, Any]:
        """Drop an object; answers the event that EventBridge makes of it."""
        answer = self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)
        detail = {
            "bucket": {"name": BUCKET},
            "object": {
                "key": key,
                "etag": answer["ETag"].strip('"'),
                "version-id": answer["VersionId"],
                "sequencer": answer["VersionId"][:8],
            },
        }
        return {"detail-type": "Object Created", "source": "aws.s3", "detail": detail}

    def execute(self, document: Any) -> dict[str, Any]:
        """Run the machine to its end; with `states`, those that were entered."""
        arn = self.begin(document)
        self.wait_for_executions()
        execution = self.sfn.describe_execution(executionArn=arn)
        history = _interpreter_of(self.machine_arn).get_execution_history(arn)["events"]
        entered = [found["name"] for event in history if (found := event.get("stateEnteredEventDetails"))]
        return dict(execution) | {"states": entered}

    def begin(self, document: Any) -> str:
        """Start an execution; answers its ARN."""
        answer = self.sfn.start_execution(
            stateMachineArn=self.machine_arn, name=str(uuid.uuid4()), input=json.dumps(document)
        )
        return str(answer["executionArn"])

    def wait_for_executions(self) -> None:
        """Until none runs any more."""
        deadline = time.monotonic() + 60
        machine = _interpreter_of(self.machine_arn).describe_state_machine(self.machine_arn)
        while any(one.status == "RUNNING" for one in machine.executions):
            assert time.monotonic() < deadline, "an execution does not end"
            time.sleep(0.01)

    def run(self, document: Any) -> tuple[dict[str, Any], RunRecord]:
        """Run the machine to its end, and the record of the newest run."""
        execution = self.execute(document)
        return execution, self.newest()

    def newest(self) -> RunRecord:
        return max(self.runs.list(limit=100).runs, key=lambda record: record.created_at)

    def print(self, job_name: str, *lines: str) -> None:
        """What a job's first host says."""
        group, stream = "/aws/sagemaker/TrainingJobs", f"{job_name}/algo-1-1"
        with contextlib.suppress(self.logs.exceptions.ResourceAlreadyExistsException):
            self.logs.create_log_group(logGroupName=group)
        self.logs.create_log_stream(logGroupName=group, logStreamName=stream)
        moment = int(time.time() * 1000)
        events = [{"timestamp": moment, "message": line} for line in lines]
        self.logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)

    def sweep(self, event: dict[str, Any] | None = None) -> dict[str, Any]:
        """What SweepRuns answers to the schedule, or to another event."""
        handler = importlib.import_module("sweep_runs.app").handler
        answer: dict[str, Any] = handler(
            event or {"source": "aws.events", "detail-type": "Scheduled Event"}, LambdaContext()
        )
        return answer

    def sweep_endpoints(self) -> dict[str, Any]:
        """What SweepEndpoints answers to its schedule."""
        handler = importlib.import_module("sweep_endpoints.app").handler
        answer: dict[str, Any] = handler(sample_event("schedule"), LambdaContext())
        return answer

    def messages(self) -> list[dict[str, Any]]:
        """What was published and not yet read."""
        answer = self.sqs.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10)
        return [json.loads(json.loads(message["Body"])["Message"]) for message in answer.get("Messages", [])]

    def published(self) -> list[dict[str, Any]]:
        """Every message that was published and not yet read, with its `deduplication_id`."""
        found = []
        while answer := self.sqs.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10).get("Messages"):
            envelopes = [json.loads(one["Body"]) for one in answer]
            found += [
                {
                    "message": json.loads(one["Message"]),
                    "deduplication_id": one["MessageAttributes"]["deduplication_id"]["Value"],
                }
                for one in envelopes
            ]
            for one in answer:
                self.sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=one["ReceiptHandle"])
        return found

    def read(self, key: str) -> bytes:
        body: bytes = self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return body

    def keys(self, prefix: str) -> list[str]:
        return [one["Key"] for one in self.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])]

    def leave_artifact(self, step: str, request: dict[str, Any]) -> None:
        """What the job's container leaves behind."""
        run_id, policy = (request["Environment"][f"GAMEDOJO_{name}"] for name in ("RUN_ID", "POLICY"))
        if step == "train":
            files = artifact_archives.training_files(run_id, policy)
        else:
            mean_return = self.returns.pop(0) if len(self.returns) > 1 else self.returns[0]
            self.returned[run_id] = mean_return
            files = artifact_archives.evaluation_files(run_id, mean_return, self._comparison(request, mean_return))
        self.write_artifact(request, artifact_archives.tar_gz(files))

    def _comparison(self, request: dict[str, Any], mean_return: float) -> IncumbentComparison | None:
        """The policy of the channel "incumbent" earns what it earned in its own evaluation."""
        channels = {one["ChannelName"]: one["DataSource"]["S3DataSource"] for one in request["InputDataConfig"]}
        if "incumbent" not in channels:
            return None
        archive = self.read(channels["incumbent"]["S3Uri"].removeprefix(f"s3://{BUCKET}/"))
        run_id = artifact_archives.run_of(archive)
        return artifact_archives.comparison(run_id, self.returned[run_id], mean_return)

    def write_artifact(self, request: dict[str, Any], body: bytes) -> None:
        uri = f"{request['OutputDataConfig']['S3OutputPath']}/{request['TrainingJobName']}/output/model.tar.gz"
        self.s3.put_object(Bucket=BUCKET, Key=uri.removeprefix(f"s3://{BUCKET}/"), Body=body)


@contextmanager
def pipeline_stack() -> Iterator[PipelineStack]:
    credentials = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": REGION}
    with contextlib.ExitStack() as kept:
        kept.enter_context(patch.dict("os.environ", credentials))
        kept.enter_context(mock_aws(config=_CONFIG))
        topic_arn, queue_url = _topic()
        kept.enter_context(patch.dict("os.environ", _environment(topic_arn)))
        _bucket_and_tables()
        sagemaker = SageMakerDouble()
        runtime = RuntimeDouble(sagemaker)
        s3, dynamodb, sns, sfn, sqs = map(moto_client, ("s3", "dynamodb", "sns", "stepfunctions", "sqs"))
        logs, cloudwatch, autoscaling = map(moto_client, ("logs", "cloudwatch", "application-autoscaling"))
        made = {
            "sagemaker": sagemaker,
            "cloudwatch": cloudwatch,
            "application_autoscaling": autoscaling,
            "sagemaker_runtime": runtime,
            "s3": s3,
            "dynamodb": dynamodb,
            "sns": sns,
            "stepfunctions": sfn,
            "logs": logs,
        }
        faults = Faults()
        for name, client in made.items():
            faulty = FaultyClient(client, name, faults)
            kept.enter_context(patch.object(clients, name, lambda faulty=faulty: faulty))
        stack = PipelineStack(
            queue_url,
            sagemaker,
            runtime,
            RunsTable(dynamodb, "RunsTable"),
            PoliciesTable(dynamodb, "PoliciesTable"),
            TurnsTable(dynamodb, "TurnsTable"),
            s3,
            sfn,
            sqs,
            logs,
            cloudwatch,
            autoscaling,
            faults=faults,
        )
        sagemaker.on_completed = stack.leave_artifact
        for patched in _interpreter(stack):
            kept.enter_context(patched)
        stack.machine_arn = _machine(sfn)
        kept.enter_context(patch.dict("os.environ", STATE_MACHINE_ARN=stack.machine_arn))
        forget_handlers()
        yield stack
    forget_handlers()


def _interpreter(stack: PipelineStack) -> list[Any]:
    def invoke(
        backend: Any, function_name: str, qualifier: Any, body: Any, headers: Any, response_headers: Any
    ) -> bytes | str:
        event = json.loads(body)
        stack.turn(event["execution_arn"], event["state"])
        stack.faults.enter(event["execution_arn"], event["state"])
        try:
            if stack.broken.get(event["state"]):
                raise stack.broken[event["state"]].pop(0)
            handler = importlib.import_module(f"{function_name.rsplit(':', 1)[-1]}.app").handler
            return json.dumps(handler(event, LambdaContext())).encode()
        except (CrashError, TransferCrashError):
            response_headers["x-amz-function-error"] = "Unhandled"
            return json.dumps({"errorMessage": "signal: killed", "errorType": "Runtime.ExitError"}).encode()
        except Exception as error:  # as the Lambda runtime does
            response_headers["x-amz-function-error"] = "Unhandled"
            return json.dumps({"errorMessage": str(error), "errorType": type(error).__name__}).encode()

    def pause(seconds: float) -> None:
        stack.pauses.append(seconds)

    class Clock:
        sleep = staticmethod(pause)

    return [
        patch.object(LambdaSimpleBackend, "invoke", invoke),
        patch.object(AmazonStateLanguageParser, "parse", _PARSED),
        patch.object(WaitFunction, "_wait_interval", lambda wait, env, wait_seconds: pause(wait_seconds)),
        patch.object(retrier_decl, "time", Clock),
        patch.object(lambda_eval_utils, "boto_client_for", lambda service, **_: moto_client(service)),
        patch.object(BoundedExecutor, "EXECUTOR_CLS", stack.faults.executor),
    ]


def _environment(topic_arn: str) -> dict[str, str]:
    return {
        "BUCKET_NAME": BUCKET,
        "RUNS_TABLE": "RunsTable",
        "POLICIES_TABLE": "PoliciesTable",
        "TURNS_TABLE": "TurnsTable",
        "MAX_CONCURRENT_RUNS": "10",
        "RESOURCE_PREFIX": PREFIX,
        "TRAINING_IMAGE_URI": "gamedojo-training:1",
        "INFERENCE_IMAGE_URI": "gamedojo-inference:1",
        "JOB_ROLE_ARN": "arn:aws:iam::123456789012:role/jobs",
        "ENDPOINT_ROLE_ARN": "arn:aws:iam::123456789012:role/endpoints",
        "TRAINING_INSTANCE_TYPE": "ml.c7i.2xlarge",
        "EVALUATION_INSTANCE_TYPE": "ml.c7i.xlarge",
        "POLL_MIN_SECONDS": "7",
        "BAKE_SECONDS": "300",
        "KMS_KEY_ARN": "none",
        "OPERATORS_TOPIC_ARN": OPERATORS,
        "STAGE": "test",
        "ALLOWED_ORIGIN": "*",
        "TOPIC_ARN": topic_arn,
    }


def _interpreter_of(arn: str) -> StepFunctionsParserBackend:
    """moto's own state: to ask for it by the API, again and again, takes longer than the run that is waited for."""
    _, _, _, region, account, *_ = arn.split(":")
    return stepfunctions_parser_backends[account][region]


def _topic() -> tuple[str, str]:
    sns, sqs = moto_client("sns"), moto_client("sqs")
    topic_arn = sns.create_topic(Name="outcomes")["TopicArn"]
    queue_url = sqs.create_queue(QueueName="outcomes")["QueueUrl"]
    queue_arn = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic_arn, Protocol="sqs", Endpoint=queue_arn)
    return topic_arn, queue_url


def _bucket_and_tables() -> None:
    s3, dynamodb = moto_client("s3"), moto_client("dynamodb")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    for name, table in resources("AWS::DynamoDB::Table").items():
        dynamodb.create_table(TableName=name, **{key: table[key] for key in _TABLE_PROPERTIES & set(table)})


def _machine(sfn: Any) -> str:
    def arn(match: re.Match[str]) -> str:
        return f"arn:aws:lambda:{REGION}:123456789012:function:{folder(match[1])}"

    definition = _PLACEHOLDER.sub(arn, STATE_MACHINE.read_text())
    answer = sfn.create_state_machine(name="train", definition=definition, roleArn=MACHINE_ROLE)
    return str(answer["stateMachineArn"])
