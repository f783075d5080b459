from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from supervisor import events

from claude_headspace.supervision.enforcer import Enforcer, make_enforcer
from claude_headspace.supervision.guard_settings import GuardInterface


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def critical(self, line: str) -> None:
        self.lines.append(line)

    error = critical


@pytest.fixture
def supervisord() -> Iterator[Any]:
    """As little of a supervisord as still has the places that the enforcer looks at first."""
    options = SimpleNamespace(logger=Log(), serverurl="unix:///nowhere/supervisor.sock")
    kept = events.callbacks[:]
    yield SimpleNamespace(options=options, process_groups={})
    events.callbacks[:] = kept


def test_nothing_escapes_into_supervisord_and_health_learns_of_it(supervisord: Any) -> None:
    guard = make_enforcer(supervisord)
    state = guard.getState()
    assert "AttributeError" in state["broken"]
    assert any("Traceback" in line for line in supervisord.options.logger.lines)
    hopeless = events.ProcessGroupAddedEvent("nobody")
    events.notify(hopeless)
    assert "KeyError" in guard.getState()["broken"]


def test_it_subscribes_once_for_all_servers(supervisord: Any) -> None:
    first = make_enforcer(supervisord)
    count = len(events.callbacks)
    second = make_enforcer(supervisord)
    assert len(events.callbacks) == count
    assert isinstance(second, GuardInterface)
    assert first.getState() == second.getState()


def test_an_interrupt_is_not_held_back(supervisord: Any) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    enforcer = Enforcer(supervisord, 60.0)
    with pytest.raises(KeyboardInterrupt):
        enforcer.closed(interrupted)()
