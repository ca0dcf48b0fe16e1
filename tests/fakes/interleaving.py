"""Executions that run side by side, one task at a time, in an order that the test chooses."""

import json
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from tests.fakes.pipeline_stack import PipelineStack

_PATIENCE_SECONDS = 300.0
"""Without any execution getting further: a slow machine is no hang."""
_MOST_SECONDS = 1800.0
"""For a turn, while others have theirs."""


class Turnstile:
    """Lets one task of one execution through at a time."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: dict[str, threading.Event] = {}

    def turn(self, execution: str, state: str) -> None:
        """Called by a task before it begins."""
        gate = threading.Event()
        with self._changed:
            self._waiting[execution] = gate
            self._changed.notify_all()
        assert gate.wait(_MOST_SECONDS), f"{state} never got its turn"

    def waiting(self) -> set[str]:
        with self._changed:
            return set(self._waiting)

    def admit(self, execution: str) -> None:
        with self._changed:
            self._waiting.pop(execution).set()


def execute_interleaved(
    stack: PipelineStack, events: list[dict[str, Any]], shuffled: Callable[[list[str]], list[str]]
) -> list[str]:
    """Run an execution for each event to its end, in rounds: each that waits gets one turn in every round.

    Without rounds, one that tries again while another holds the lease could use up its tries, which in reality are
    minutes apart.

    Args:
        stack: whose machine it is.
        events: what the executions begin with; the same event twice is a duplicate delivery.
        shuffled: the order of a round's turns, made of the executions in the order of their start.

    Returns:
        Their statuses.
    """
    turnstile = Turnstile()
    stack.turn = turnstile.turn
    arns = [_start(stack, event) for event in events]
    while alive := _settled(stack, arns, turnstile):
        for arn in shuffled(alive):
            turnstile.admit(arn)
            _settled(stack, arns, turnstile)
    stack.turn = lambda execution, state: None
    return [_status(stack, arn) for arn in arns]


def _settled(stack: PipelineStack, arns: list[str], turnstile: Turnstile) -> list[str]:
    """Those that wait for a turn, once each has ended or waits."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        waiting = turnstile.waiting()
        if all(arn in waiting or _status(stack, arn) != "RUNNING" for arn in arns):
            return [arn for arn in arns if arn in waiting]
        assert time.monotonic() < deadline, (
            f"after {_PATIENCE_SECONDS} s an execution has neither ended nor come to its next task"
        )
        time.sleep(0.001)


def _start(stack: PipelineStack, event: dict[str, Any]) -> str:
    answer = stack.sfn.start_execution(
        stateMachineArn=stack.machine_arn, name=str(uuid.uuid4()), input=json.dumps(event)
    )
    return str(answer["executionArn"])


def _status(stack: PipelineStack, arn: str) -> str:
    return str(stack.sfn.describe_execution(executionArn=arn)["status"])
