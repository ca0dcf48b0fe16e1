"""Executions that an emulator's end has cut short: what Step Functions would tell of them is told here.

An emulator that starts again marks the executions that ran as FAILED with States.ServiceRestart, and tells nobody
(ministack 1.5.33). AWS tells EventBridge of every execution's end; PutEvents takes no event of source `aws.states`, so
the functions that a rule sends such events to are called directly, with the same event.
"""

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from local.aws import client_arguments, isolated_session
from local.settings import REGION

_RESTART = "States.ServiceRestart"
_DETAIL_TYPE = "Step Functions Execution Status Change"
_FUNCTION_ARN = ":lambda:"


def tell_of_lost_executions(emulator_url: str, *, since: datetime) -> list[str]:
    """Tell the rules' functions of every execution that ended with an emulator; returns the executions' ARNs.

    Args:
        emulator_url: the emulator, with the stack in it.
        since: when this emulator was started; what was lost before was told before.
    """
    session, arguments = isolated_session(), client_arguments(emulator_url)
    events, functions = session.client("events", **arguments), session.client("lambda", **arguments)
    lost = list(_lost(session.client("stepfunctions", **arguments), since))
    for execution in lost:
        event = _event(execution)
        for arn in _targets(events, event):
            functions.invoke(FunctionName=arn, InvocationType="Event", Payload=json.dumps(event))
    return [execution["executionArn"] for execution in lost]


def _lost(states: Any, since: datetime) -> Iterator[dict[str, Any]]:
    for machines in states.get_paginator("list_state_machines").paginate():
        for machine in machines["stateMachines"]:
            arguments = {"stateMachineArn": machine["stateMachineArn"], "statusFilter": "FAILED"}
            for page in states.get_paginator("list_executions").paginate(**arguments):
                for listed in page["executions"]:
                    if listed["stopDate"] < since:
                        continue
                    execution = states.describe_execution(executionArn=listed["executionArn"])
                    if execution.get("error") == _RESTART:
                        yield execution


def _event(execution: dict[str, Any]) -> dict[str, Any]:
    """As the Step Functions developer guide has it ("EventBridge event for execution status changes")."""
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "source": "aws.states",
        "detail-type": _DETAIL_TYPE,
        "account": execution["executionArn"].split(":")[4],
        "region": REGION,
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "resources": [execution["executionArn"]],
        "detail": {
            "executionArn": execution["executionArn"],
            "stateMachineArn": execution["stateMachineArn"],
            "name": execution["name"],
            "status": execution["status"],
            "startDate": int(execution["startDate"].timestamp() * 1000),
            "stopDate": int(execution["stopDate"].timestamp() * 1000),
            "input": execution["input"],
            "output": None,
            "error": execution["error"],
            "cause": execution["cause"],
        },
    }


def _targets(events: Any, event: dict[str, Any]) -> Iterator[str]:
    """Functions that an enabled rule sends this event to."""
    for page in events.get_paginator("list_rules").paginate():
        for rule in page["Rules"]:
            pattern = rule.get("EventPattern")
            if rule["State"] != "ENABLED" or not pattern:
                continue
            if not events.test_event_pattern(EventPattern=pattern, Event=json.dumps(event))["Result"]:
                continue
            for target in events.list_targets_by_rule(Rule=rule["Name"])["Targets"]:
                if _FUNCTION_ARN in target["Arn"]:
                    yield target["Arn"]
