from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from claude_headspace.health.verdict import Program
from claude_headspace.supervision import listener as listener_module
from claude_headspace.supervision.control import (
    Supervisor,
    SupervisorFault,
    SupervisorUnavailable,
)
from claude_headspace.supervision.history import RestartRecord, history_path, read_restarts
from claude_headspace.supervision.listener import Listener, Settings
from claude_headspace.supervision.protocol import Event

MESSAGE = {
    "at": 1_700_000_000.0,
    "pid": 7,
    "reason": "exit status 1",
    "uptime_seconds": 2.5,
    "attempt": 1,
    "limit": 5,
    "window_seconds": 60.0,
    "outcome": "restarted",
    "detail": "",
    "key": "1:2.5",
}
GUARD_NUMBERS = ("restarts", "limit", "window_seconds", "undelivered_events")


class Scripted(Supervisor):
    """Answers as told; remembers what was asked of it."""

    def __init__(self, *, enforced: bool = True, away: bool = False) -> None:
        super().__init__("/nowhere")
        self.enforced = enforced
        self.away = away
        self.calls: list[tuple[Any, ...]] = []

    def call(self, method: str, *arguments: Any) -> Any:
        self.calls.append((method, *arguments))
        if self.away:
            raise SupervisorUnavailable("supervisord does not answer")
        if method == "guard.getState":
            if not self.enforced:
                raise SupervisorFault(1, "UNKNOWN_METHOD")
            return dict.fromkeys(GUARD_NUMBERS, 5) | {"broken": "", "settings_problem": ""}
        if method == "supervisor.readLog":
            return "exited: watcher (terminated by SIGSEGV (core dumped); not expected)\n"
        return [] if method == "supervisor.getAllProcessInfo" else True

    def process(self, name: str) -> Program:
        self.call("supervisor.getProcessInfo", name)
        return Program(name, "RUNNING", 7, 0, 0, "")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def make(
    tmp_path: Path, supervisor: Scripted, clock: Clock, *, has_input: bool = False
) -> Listener:
    return Listener(supervisor, Settings(tmp_path), lambda: has_input, clock)


def state(name: str, serial: int, from_state: str = "RUNNING") -> Event:
    values = {"processname": "watcher", "from_state": from_state, "pid": "7"}
    return Event(f"PROCESS_STATE_{name}", serial, values, "")


def message(**changes: Any) -> Event:
    body = json.dumps({**MESSAGE, **changes})
    return Event("REMOTE_COMMUNICATION", 1, {"type": "headspace-guard"}, body)


BEAT = Event("PROCESS_COMMUNICATION_STDOUT", 2, {"processname": "watcher", "pid": "7"}, "beat")


def history(tmp_path: Path) -> list[RestartRecord]:
    return read_restarts(history_path(tmp_path))


def kills(supervisor: Scripted) -> int:
    return sum(call[0] == "supervisor.signalProcess" for call in supervisor.calls)


def test_an_event_delivered_twice_is_written_down_once(tmp_path: Path, clock: Clock) -> None:
    for _ in range(2):
        make(tmp_path, Scripted(), clock).on_event(message())
    make(tmp_path, Scripted(), clock).on_event(message(key="1:9"))
    assert [record.number for record in history(tmp_path)] == [1, 2]


def test_so_it_is_without_the_inner_half(tmp_path: Path, clock: Clock) -> None:
    for _ in range(2):
        make(tmp_path, Scripted(enforced=False), clock).on_event(state("EXITED", 41))
    (record,) = history(tmp_path)
    assert record.reason == "killed by SIGSEGV (core dumped)"


def test_the_inner_half_has_the_first_word(tmp_path: Path, clock: Clock) -> None:
    guard = make(tmp_path, Scripted(), clock)
    guard.on_event(state("EXITED", 41))
    assert history(tmp_path) == []


def test_silence_after_a_beat_is_ended_and_named(tmp_path: Path, clock: Clock) -> None:
    supervisor = Scripted()
    guard = make(tmp_path, supervisor, clock)
    guard.on_event(BEAT)
    clock.now += guard.wait_seconds()
    guard.on_silence(0.0)
    assert kills(supervisor) == 1
    guard.on_event(message())
    assert history(tmp_path)[0].reason == "stuck for 3 s"


@pytest.mark.parametrize("why", ["events wait", "supervisord is away", "we slept"])
def test_silence_that_is_not_the_watchers_fault(tmp_path: Path, clock: Clock, why: str) -> None:
    supervisor = Scripted(away=why == "supervisord is away")
    guard = make(tmp_path, supervisor, clock, has_input=why == "events wait")
    guard.on_event(BEAT)
    clock.now += 3.0
    guard.on_silence(2.0 if why == "we slept" else 0.0)
    assert kills(supervisor) == 0


def test_it_begins_afresh_when_no_tick_comes(tmp_path: Path, clock: Clock) -> None:
    guard = make(tmp_path, Scripted(), clock)
    clock.now += 14.9
    assert not guard.is_deaf
    guard.on_event(Event("TICK_5", 1, {"when": "5"}, ""))
    clock.now += 14.9
    assert not guard.is_deaf
    clock.now += 0.2
    assert guard.is_deaf


def test_an_event_that_cannot_be_handled_is_logged_and_acknowledged(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    guard = make(tmp_path, Scripted(), clock)
    broken = Event("REMOTE_COMMUNICATION", 1, {"type": "headspace-guard"}, "{")
    stream = Stream([broken, message()])
    with pytest.raises(EOFError):
        listener_module.serve(stream, guard, clock)  # type: ignore[arg-type]
    assert stream.acknowledged == 2
    assert "could not be handled" in caplog.text
    assert len(history(tmp_path)) == 1


class Stream:
    def __init__(self, events: list[Event]) -> None:
        self._events = events
        self.acknowledged = 0

    def ready(self) -> None:
        pass

    def done(self) -> None:
        self.acknowledged += 1

    def read(self, _timeout: float) -> Event:
        if not self._events:
            raise EOFError
        return self._events.pop(0)
