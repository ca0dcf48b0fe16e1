"""Every call to AWS that a Lambda makes in this process, held against the Lambda's policy.

Whose call it is says the stack: below it is the `app.py` of one of functions/. Threads that a Lambda starts (S3's
managed transfers) are its own. Looked at are botocore's calls, the URLs that it presigns, and what doubles of clients
`note`; what the double of SageMaker itself does in S3, as a job would, is no Lambda's.
"""

import functools
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Any
from unittest.mock import patch

import botocore.client
import botocore.signers
from botocore.exceptions import ClientError

from tests.fakes import aws_needs
from tests.fakes.aws_needs import Need

_FUNCTIONS = Path(__file__).parents[2] / "functions"
_HANDLERS = {str(path): path.parent.name for path in _FUNCTIONS.glob("*/app.py")}
_DOUBLE = str(Path(__file__).with_name("sagemaker_double.py"))
_TRANSFERS = f"{os.sep}s3transfer{os.sep}"
_ABSENT = {"404", "NoSuchKey", "NotFound"}

# Which variable of a function names which resource of the template.
_STAND_FOR = {
    "BUCKET_NAME": "${Bucket}",
    "RUNS_TABLE": "${RunsTable}",
    "POLICIES_TABLE": "${PoliciesTable}",
    "TURNS_TABLE": "${TurnsTable}",
    "TOPIC_ARN": "${Topic}",
    "STATE_MACHINE_ARN": "${TrainAndDeploy}",
    "JOB_ROLE_ARN": "${JobRole.Arn}",
    "ENDPOINT_ROLE_ARN": "${EndpointRole.Arn}",
}


class Recorder:
    """What was called, by function: what of its policy was used, and what is outside of it."""

    def __init__(self) -> None:
        self.used: set[tuple[str, str, str, str]] = set()
        """Function, action, pattern of the resource, conditions."""
        self.outside: set[tuple[str, str, str, str]] = set()
        """Function, action, resource, and the test that made the call."""
        self._seen: set[tuple[str, Need]] = set()

    def record(self, function: str, need: Need) -> None:
        """Hold one need against the policy."""
        from tests.fakes import function_policies as policies  # reading the template takes a second: when one calls

        need = need._replace(resource=_canonical(need.resource))
        if (function, need) in self._seen:
            return
        self._seen.add((function, need))
        covering = [grant for grant in policies.grants(function) if grant.covers(need)]
        self.used |= {(function, *grant) for grant in covering}
        if not covering:
            here = os.environ.get("PYTEST_CURRENT_TEST", "").split(" ")[0]
            self.outside.add((function, need.action, need.resource, here))

    def call(self, service: str, operation: str, request: Mapping[str, Any], do: Callable[[], Any]) -> Any:
        """Do a call, and record it if a Lambda makes it."""
        folder, in_transfer = _caller()
        if folder is None:
            return do()
        function = function_of(folder)
        try:
            found = aws_needs.needs(service, operation, request)
        except KeyError:
            found = [Need(f"{service}:{operation}", "(nobody has described this operation)")]
        if in_transfer:
            found += aws_needs.giving_up(service, operation, request)
        for need in found:
            self.record(function, need)
        try:
            return do()
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in _ABSENT:
                for need in aws_needs.told_of_absence(service, operation, request):
                    self.record(function, need)
            raise

    def as_lists(self) -> dict[str, list[list[str]]]:
        """To travel from a worker of pytest-xdist."""
        return {"used": [list(one) for one in self.used], "outside": [list(one) for one in self.outside]}

    def merge(self, lists: Mapping[str, list[list[str]]]) -> None:
        """Take in what `as_lists` made elsewhere."""
        self.used |= {(one[0], one[1], one[2], one[3]) for one in lists["used"]}
        self.outside |= {(one[0], one[1], one[2], one[3]) for one in lists["outside"]}

    def unused(self) -> list[tuple[str, str]]:
        """What a function is allowed and no call needed: an action, or "anything on" a resource of a statement."""
        from tests.fakes import function_policies as policies

        found = []
        for function in policies.functions():
            used = {tuple(rest) for name, *rest in self.used if name == function}
            actions = {action for action, _, _ in used}
            found += [
                (function, action) for action in sorted({one.action for one in policies.grants(function)} - actions)
            ]
            for statement in policies.statements(function):
                patterns = {grant.pattern for grant in statement if tuple(grant) in used}
                idle = {grant.pattern for grant in statement if grant.action in actions} - patterns
                found += [(function, f"anything on {pattern}") for pattern in sorted(idle)]
        return found


def function_of(folder: str) -> str:
    """The logical id of the Lambda whose handler is in this folder of functions/."""
    return "".join(part.capitalize() for part in folder.split("_")) + "Function"


def _canonical(resource: str) -> str:
    """The resource by the template's names, not the test's."""
    for variable, stands_for in _STAND_FOR.items():
        name = os.environ.get(variable)
        if name and resource == name:
            return stands_for
        head, separator, tail = resource.partition(f"{name}") if name else (resource, "", "")
        if separator and head.endswith((":::", ":table/")) and tail[:1] in {"", "/"}:
            return f"{head}{stands_for}{tail}"
    machine = os.environ.get("STATE_MACHINE_ARN", "").rpartition(":")[2]
    before, separator, name = resource.partition(f":execution:{machine}:")
    return f"{before}:execution:${{TrainAndDeploy.Name}}:{name}" if machine and separator else resource


def _caller() -> tuple[str | None, bool]:
    """The folder of the Lambda that is at work here, and whether a managed transfer calls for it."""
    in_transfer = noted = False
    for frame in _frames():
        path = frame.f_code.co_filename
        noted = noted or frame.f_code is note.__code__
        if (path == _DOUBLE and not noted) or os.path.basename(path).startswith("test_"):  # noqa: PTH119 - each call
            return None, False
        if path in _HANDLERS:
            return _HANDLERS[path], in_transfer
        in_transfer = in_transfer or _TRANSFERS in path
    return getattr(threading.current_thread(), "started_by_lambda", None), in_transfer


def _frames() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


def install(recorder: Recorder) -> ExitStack:
    """Have the recorder see every call of this process, until the answer is closed."""
    make_call = botocore.client.BaseClient._make_api_call  # type: ignore[attr-defined]
    presign = botocore.signers.generate_presigned_url  # type: ignore[attr-defined]
    start = threading.Thread.start

    def call(client: Any, operation: str, request: dict[str, Any]) -> Any:
        service = client.meta.service_model.service_name
        return recorder.call(service, operation, request, lambda: make_call(client, operation, request))

    @functools.wraps(presign)
    def sign(client: Any, ClientMethod: str, Params: Any = None, **more: Any) -> Any:  # noqa: N803 - botocore's names
        service = client.meta.service_model.service_name
        operation = client.meta.method_to_api_mapping[ClientMethod]
        return recorder.call(
            service, operation, Params or {}, lambda: presign(client, ClientMethod, Params=Params, **more)
        )

    def start_for_lambda(thread: threading.Thread) -> None:
        folder, in_transfer = _caller()
        thread.started_by_lambda = folder if in_transfer else None  # type: ignore[attr-defined]
        start(thread)

    installed = ExitStack()
    installed.enter_context(patch.object(botocore.client.BaseClient, "_make_api_call", call))
    installed.enter_context(patch.object(botocore.signers, "generate_presigned_url", sign))
    installed.enter_context(patch.object(threading.Thread, "start", start_for_lambda))
    installed.enter_context(patch(f"{__name__}._installed", recorder))
    return installed


_installed: Recorder | None = None


def note(service: str, operation: str, request: Mapping[str, Any]) -> None:
    """What doubles of boto3's clients tell of each call to them."""
    if _installed is not None:
        _installed.call(service, operation, request, lambda: None)
