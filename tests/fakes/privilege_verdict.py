"""Hooks of pytest, with --privileges: what Lambdas called in a session is held against their policies, both ways.

A call that no policy allows fails any session. What a policy allows and no call needed fails a session that ran all of
tests/integration, for only that one can tell.
"""

from pathlib import Path
from typing import Any

import pytest

from tests.fakes.recorded_calls import Recorder, install

_SUITE = Path(__file__).parents[1] / "integration"
_KEY = "calls of lambdas"


class Privileges:
    """The plugin: one recorder a process; those of pytest-xdist's workers are gathered."""

    def __init__(self) -> None:
        self.recorder = Recorder()
        self.faults: list[str] = []
        self._installed = install(self.recorder)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: Any) -> None:
        """A worker of pytest-xdist has ended; one that crashed has left nothing."""
        self.recorder.merge(getattr(node, "workeroutput", {}).get(_KEY, {"used": [], "outside": []}))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Judge, or hand over what is to be judged."""
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput[_KEY] = self.recorder.as_lists()
            return
        self.faults = [
            f"{function} may not {action} on {resource}, which {test or 'a test'} has it do"
            for function, action, resource, test in sorted(self.recorder.outside)
        ]
        if exitstatus == pytest.ExitCode.OK and _is_whole(session.config):
            self.faults += [
                f"{function} is allowed {what}, which no test has it need" for function, what in self.recorder.unused()
            ]
        if self.faults and exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Tell what was found."""
        if self.faults:
            terminalreporter.section("privileges of Lambdas", sep="=", red=True)
        elif self.recorder.used and _is_whole(terminalreporter.config):
            functions = {function for function, *_ in self.recorder.used}
            terminalreporter.write_line(
                f"{len(self.recorder.used)} grants of {len(functions)} Lambdas: each used, and no call without one"
            )
        for fault in self.faults:
            terminalreporter.write_line(fault)

    def pytest_unconfigure(self) -> None:
        """Botocore is itself again."""
        self._installed.close()


def _is_whole(config: pytest.Config) -> bool:
    """Whether all of tests/integration was asked for, but for what `make test` leaves to `make test-faults`."""
    asked = [Path(config.invocation_params.dir, one) for one in config.args]
    narrowing = ("keyword", "lf", "ignore", "deselect")
    narrowed = any(getattr(config.option, name, None) for name in narrowing)
    narrowed = narrowed or config.option.markexpr not in {"", "not faults"}
    return not narrowed and any(one == _SUITE or one in _SUITE.parents for one in asked)
