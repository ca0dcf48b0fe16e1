"""What a call to AWS needs by IAM: actions, each on a resource and with what its conditions may ask for.

By the service authorization reference. Only operations that our Lambdas call stand here: one that does not is an error,
so that no new call passes unseen.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

SAGEMAKER = "sagemaker.amazonaws.com"
SCALING_SERVICE = "sagemaker.application-autoscaling.amazonaws.com"
USERS_PREFIXES = ("builds/", "registry/", "uploads/")
"""Objects that users bring may have tags, which CopyObject takes along; those that we write have none."""

Request = Mapping[str, Any]


class Need(NamedTuple):
    """One action on one resource, as IAM is asked for it."""

    action: str
    resource: str
    context: tuple[tuple[str, str], ...] = ()


def needs(service: str, operation: str, request: Request) -> list[Need]:
    """What the call needs to be done.

    Raises:
        KeyError: nobody has written down what this operation needs.
    """
    return _OPERATIONS[service, operation](request)


def told_of_absence(service: str, operation: str, request: Request) -> list[Need]:
    """What it needs to be told 404 for an object that is not there: without it, S3 answers 403."""
    if service == "s3" and operation in {"GetObject", "HeadObject"}:
        return [_bucket("ListBucket", request, {"s3:prefix": ""})]
    return []


def giving_up(service: str, operation: str, request: Request) -> list[Need]:
    """What a managed transfer needs beside its calls: one in parts that fails is given up."""
    if service == "s3" and operation in {"PutObject", "CopyObject", "CreateMultipartUpload"}:
        return [_object("AbortMultipartUpload", request)]
    return []


def _arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:us-east-1:123456789012:{resource}"


def _need(action: str, resource: str, **context: str) -> Need:
    return Need(action, resource, tuple(context.items()))


# ── S3 ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _object(action: str, request: Request) -> Need:
    return Need(f"s3:{action}", f"arn:aws:s3:::{request['Bucket']}/{request['Key']}")


def _bucket(action: str, request: Request, context: Mapping[str, str] | None = None) -> Need:
    return Need(f"s3:{action}", f"arn:aws:s3:::{request['Bucket']}", tuple((context or {}).items()))


def _read(request: Request) -> list[Need]:
    return [_object("GetObjectVersion" if request.get("VersionId") else "GetObject", request)]


def _write(request: Request) -> list[Need]:
    return [_object("PutObject", request)]


def _delete(request: Request) -> list[Need]:
    return [_object("DeleteObjectVersion" if request.get("VersionId") else "DeleteObject", request)]


def _copy(request: Request) -> list[Need]:
    source = request["CopySource"]
    found = _read(source) + _write(request)
    if source["Key"].startswith(USERS_PREFIXES):
        tags = "GetObjectVersionTagging" if source.get("VersionId") else "GetObjectTagging"
        found += [_object(tags, source), _object("PutObjectTagging", request)]
    return found


def _copy_part(request: Request) -> list[Need]:
    return _read(request["CopySource"]) + _write(request)


# ── DynamoDB, Step Functions, SNS, logs ──────────────────────────────────────────────────────────────────────────────


def _table(operation: str) -> Callable[[Request], list[Need]]:
    def on_table(request: Request) -> list[Need]:
        index = f"/index/{request['IndexName']}" if "IndexName" in request else ""
        return [_need(f"dynamodb:{operation}", _arn("dynamodb", f"table/{request['TableName']}{index}"))]

    return on_table


def _on(action: str, parameter: str) -> Callable[[Request], list[Need]]:
    """The action on the resource that the parameter names by its ARN."""
    return lambda request: [_need(action, request[parameter])]


def _of_all(action: str) -> Callable[[Request], list[Need]]:
    """An action that takes no resource."""
    return lambda request: [_need(action, "*")]


def _log_stream(action: str) -> Callable[[Request], list[Need]]:
    def on_stream(request: Request) -> list[Need]:
        stream = request.get("logStreamName", "")
        return [_need(action, _arn("logs", f"log-group:{request['logGroupName']}:log-stream:{stream}"))]

    return on_stream


# ── SageMaker ────────────────────────────────────────────────────────────────────────────────────────────────────────

_KINDS = {"TrainingJob": "training-job", "Model": "model", "EndpointConfig": "endpoint-config", "Endpoint": "endpoint"}


def _sagemaker(verb: str, kind: str) -> Callable[[Request], list[Need]]:
    def on_resource(request: Request) -> list[Need]:
        resource = _arn("sagemaker", f"{_KINDS[kind]}/{request[f'{kind}Name']}")
        found = [_need(f"sagemaker:{verb}{kind}", resource)]
        if kind == "Endpoint" and verb in {"Create", "Update"}:  # both resource types are required
            config = _arn("sagemaker", f"endpoint-config/{request['EndpointConfigName']}")
            found.append(_need(f"sagemaker:{verb}{kind}", config))
        if request.get("Tags"):
            found.append(_need("sagemaker:AddTags", resource))
        role = request.get("RoleArn") or request.get("ExecutionRoleArn")
        if verb == "Create" and role:
            found.append(Need("iam:PassRole", role, (("iam:PassedToService", SAGEMAKER),)))
        return found + _watched_alarms(request)

    return on_resource


def _watched_alarms(request: Request) -> list[Need]:
    """SageMaker looks at the alarms that take an update back in the caller's name."""
    rollback = request.get("DeploymentConfig", {}).get("AutoRollbackConfiguration", {})
    return [_alarm("DescribeAlarms", one["AlarmName"]) for one in rollback.get("Alarms", [])]


# ── CloudWatch and Application Auto Scaling ──────────────────────────────────────────────────────────────────────────


def _alarm(action: str, name: str) -> Need:
    return _need(f"cloudwatch:{action}", _arn("cloudwatch", f"alarm:{name}"))


def _put_alarm(request: Request) -> list[Need]:
    tagged = [_alarm("TagResource", request["AlarmName"])] if request.get("Tags") else []
    return [_alarm("PutMetricAlarm", request["AlarmName"]), *tagged]


def _list_alarms(request: Request) -> list[Need]:
    return [_alarm("DescribeAlarms", name) for name in request.get("AlarmNames", ["*"])]


def _target(action: str, request: Request) -> Need:
    context = {
        "application-autoscaling:service-namespace": request["ServiceNamespace"],
        "application-autoscaling:scalable-dimension": request["ScalableDimension"],
    }
    resource = _arn("application-autoscaling", "scalable-target/0123456789abcdef")
    return Need(f"application-autoscaling:{action}", resource, tuple(context.items()))


def _scaling_alarm(action: str, request: Request) -> Need:
    return _alarm(action, f"TargetTracking-{request['ResourceId']}-AlarmHigh")


def _register(request: Request) -> list[Need]:
    """Application Auto Scaling asks SageMaker in the caller's name, and makes its role the first time."""
    endpoint = request["ResourceId"].split("/")[1]
    role = "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
    return [
        _target("RegisterScalableTarget", request),
        _need("sagemaker:DescribeEndpoint", _arn("sagemaker", f"endpoint/{endpoint}")),
        _need("sagemaker:DescribeEndpointConfig", _arn("sagemaker", f"endpoint-config/{endpoint}")),
        _need("sagemaker:UpdateEndpointWeightsAndCapacities", _arn("sagemaker", f"endpoint/{endpoint}")),
        Need(
            "iam:CreateServiceLinkedRole",
            f"arn:aws:iam::123456789012:role/aws-service-role/{SCALING_SERVICE}/{role}",
            (("iam:AWSServiceName", SCALING_SERVICE),),
        ),
    ]


def _put_scaling(request: Request) -> list[Need]:
    """And keeps alarms of its own, in the caller's name too."""
    alarms = [_scaling_alarm(action, request) for action in ("PutMetricAlarm", "DescribeAlarms", "DeleteAlarms")]
    return [_target("PutScalingPolicy", request), *alarms]


def _deregister(request: Request) -> list[Need]:
    return [_target("DeregisterScalableTarget", request), _scaling_alarm("DeleteAlarms", request)]


_OPERATIONS: dict[tuple[str, str], Callable[[Request], list[Need]]] = {
    ("s3", "GetObject"): _read,
    ("s3", "HeadObject"): _read,
    ("s3", "PutObject"): _write,
    ("s3", "CopyObject"): _copy,
    ("s3", "DeleteObject"): _delete,
    ("s3", "CreateMultipartUpload"): _write,
    ("s3", "UploadPart"): _write,
    ("s3", "UploadPartCopy"): _copy_part,
    ("s3", "CompleteMultipartUpload"): _write,
    ("s3", "AbortMultipartUpload"): lambda request: [_object("AbortMultipartUpload", request)],
    ("s3", "ListParts"): lambda request: [_object("ListMultipartUploadParts", request)],
    ("s3", "ListMultipartUploads"): lambda request: [_bucket("ListBucketMultipartUploads", request)],
    ("s3", "ListObjectsV2"): lambda request: [_bucket("ListBucket", request, {"s3:prefix": request.get("Prefix", "")})],
    **{("dynamodb", name): _table(name) for name in ("GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query")},
    ("stepfunctions", "StartExecution"): _on("states:StartExecution", "stateMachineArn"),
    ("stepfunctions", "DescribeExecution"): _on("states:DescribeExecution", "executionArn"),
    ("stepfunctions", "StopExecution"): _on("states:StopExecution", "executionArn"),
    ("sns", "Publish"): _on("sns:Publish", "TopicArn"),
    ("logs", "DescribeLogStreams"): _log_stream("logs:DescribeLogStreams"),
    ("logs", "GetLogEvents"): _log_stream("logs:GetLogEvents"),
    **{
        ("sagemaker", f"{verb}{kind}"): _sagemaker(verb, kind)
        for kind in _KINDS
        for verb in ("Create", "Describe", "Update", "Delete", "Stop")
    },
    **{("sagemaker", f"List{kind}s"): _of_all(f"sagemaker:List{kind}s") for kind in _KINDS},
    ("sagemaker", "ListTags"): _on("sagemaker:ListTags", "ResourceArn"),
    ("sagemaker-runtime", "InvokeEndpoint"): lambda request: [
        _need("sagemaker:InvokeEndpoint", _arn("sagemaker", f"endpoint/{request['EndpointName']}"))
    ],
    ("cloudwatch", "PutMetricAlarm"): _put_alarm,
    ("cloudwatch", "DescribeAlarms"): _list_alarms,
    ("cloudwatch", "DeleteAlarms"): lambda request: [_alarm("DeleteAlarms", name) for name in request["AlarmNames"]],
    ("cloudwatch", "GetMetricData"): _of_all("cloudwatch:GetMetricData"),
    ("cloudwatch", "GetMetricStatistics"): _of_all("cloudwatch:GetMetricStatistics"),
    ("application-autoscaling", "RegisterScalableTarget"): _register,
    ("application-autoscaling", "PutScalingPolicy"): _put_scaling,
    ("application-autoscaling", "DeregisterScalableTarget"): _deregister,
    ("application-autoscaling", "DescribeScalableTargets"): _of_all("application-autoscaling:DescribeScalableTargets"),
}
