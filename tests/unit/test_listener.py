from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from claude_headspace.health.observation import ProgramState
from claude_headspace.health.status_file import WatcherStatus, status_path, write_status
from claude_headspace.supervision import listener as listener_module
from claude_headspace.supervision.beats import Beat, BeatSender
from claude_headspace.supervision.control import Supervisor, SupervisorFault, SupervisorUnavailable
from claude_headspace.supervision.hangs import FIRST_BEAT_SECONDS
from claude_headspace.supervision.history import RestartRecord, history_path, read_restarts
from claude_headspace.supervision.listener import (
    EnforcerMissing,
    Listener,
    ListenerSettings,
    ask_settings,
)
from claude_headspace.supervision.protocol import SupervisorEvent

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
GUARD_NUMBERS = ("restarts", "limit", "window_seconds", "waiting_ticks", "next_try_seconds")
SILENT = "stuck: no heartbeat for 3 s; last activity: work"


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
        if method.startswith("guard.") and not self.enforced:
            raise SupervisorFault("UNKNOWN_METHOD")
        if method == "guard.getState":
            return dict.fromkeys(GUARD_NUMBERS, 5) | {"broken": "", "settings_problem": ""}
        if method == "guard.getSettings":
            return {"state_directory": "/a/state", "alert_command": ["tell", "me"]}
        return [] if method == "supervisor.getAllProcessInfo" else True

    def process(self, name: str) -> ProgramState:
        self.call("supervisor.getProcessInfo", name)
        return ProgramState(name, "RUNNING", 7, 0, "")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


LISTENING: list[Listener] = []


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while LISTENING:
        LISTENING.pop().hangs.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def make(
    tmp_path: Path, supervisor: Scripted, clock: Clock, *, has_input: bool = False
) -> Listener:
    settings = ListenerSettings(tmp_path, beats_of(tmp_path))
    listener = Listener(supervisor, settings, lambda: has_input, clock)
    LISTENING.append(listener)
    return listener


def beats_of(tmp_path: Path) -> Path:
    return tmp_path / "supervisor.beats"


def beat(tmp_path: Path, guard: Listener, **changes: Any) -> None:
    """Have the guard hear one beat of the watcher."""
    values = {"pid": 7, "doing": "work", "seconds": 0.1, "limit": 3.0, **changes}
    sender = BeatSender(beats_of(tmp_path))
    sender(Beat(**values))
    sender.close()
    guard.on_wake(-1.0)


def state(name: str, serial: int, from_state: str = "RUNNING") -> SupervisorEvent:
    values = {"processname": "watcher", "from_state": from_state, "pid": "7"}
    return SupervisorEvent(f"PROCESS_STATE_{name}", serial, values, "")


def message(**changes: Any) -> SupervisorEvent:
    body = json.dumps({**MESSAGE, **changes})
    return SupervisorEvent("REMOTE_COMMUNICATION", 1, {"type": "headspace-guard"}, body)


def history(tmp_path: Path) -> list[RestartRecord]:
    return read_restarts(history_path(tmp_path))


def kills(supervisor: Scripted) -> int:
    return sum(call[0] == "supervisor.signalProcess" for call in supervisor.calls)


def test_an_event_delivered_twice_is_written_down_once(tmp_path: Path, clock: Clock) -> None:
    for _ in range(2):
        make(tmp_path, Scripted(), clock).on_event(message())
    make(tmp_path, Scripted(), clock).on_event(message(key="1:9"))
    assert [record.number for record in history(tmp_path)] == [1, 2]


def test_without_the_inner_half_it_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(EnforcerMissing, match=r"no \[rpcinterface:guard\] .* copy the section"):
        ask_settings(Scripted(enforced=False), beats_of(tmp_path))
    settings = ask_settings(Scripted(), beats_of(tmp_path))
    assert settings.state_directory == Path("/a/state")
    assert settings.alert_command == ("tell", "me")


def test_a_death_is_told_by_the_inner_half_alone(tmp_path: Path, clock: Clock) -> None:
    guard = make(tmp_path, Scripted(), clock)
    guard.on_event(state("EXITED", 41))
    assert history(tmp_path) == []


def test_silence_after_a_beat_is_ended_and_named(tmp_path: Path, clock: Clock) -> None:
    supervisor = Scripted()
    guard = make(tmp_path, supervisor, clock)
    beat(tmp_path, guard)
    clock.now += guard.wait_seconds()
    guard.on_wake(0.0)
    assert kills(supervisor) == 1
    guard.on_event(message())
    assert history(tmp_path)[0].reason == SILENT


def test_a_watcher_that_hangs_before_its_first_beat_is_ended(tmp_path: Path, clock: Clock) -> None:
    supervisor = Scripted()
    guard = make(tmp_path, supervisor, clock)
    clock.now += FIRST_BEAT_SECONDS - 0.1
    guard.on_wake(0.0)
    assert kills(supervisor) == 0
    clock.now += 0.1
    guard.on_wake(0.0)
    assert kills(supervisor) == 1


def test_a_watcher_that_cannot_be_heard_is_left_alone(tmp_path: Path, clock: Clock) -> None:
    supervisor = Scripted()
    guard = make(tmp_path, supervisor, clock)
    status = WatcherStatus(pid=7, started_at=0.0, beat_at=0.0, state="capturing")
    write_status(status_path(tmp_path), status)
    clock.now += FIRST_BEAT_SECONDS
    guard.on_wake(0.0)
    assert kills(supervisor) == 0
    assert guard.hangs.detector.deadline is None


def test_what_is_overdue_is_ended_at_once_and_named(tmp_path: Path, clock: Clock) -> None:
    supervisor = Scripted()
    guard = make(tmp_path, supervisor, clock)
    beat(tmp_path, guard, doing="list /slow", seconds=19.9, limit=20.0)
    assert kills(supervisor) == 0
    beat(tmp_path, guard, doing="list /slow", seconds=20.7, limit=20.0, overdue=True)
    assert kills(supervisor) == 1
    guard.on_event(message())
    assert history(tmp_path)[0].reason == "stuck: list /slow has taken 20.7 s (limit: 20 s)"


def test_what_another_process_is_late_with_ends_none(tmp_path: Path, clock: Clock) -> None:
    supervisor = Scripted()
    guard = make(tmp_path, supervisor, clock)
    beat(tmp_path, guard, pid=6, overdue=True)
    assert kills(supervisor) == 0


@pytest.mark.parametrize(
    "why", ["events wait", "supervisord is away", "we slept", "the socket was swept", "it beats"]
)
def test_silence_that_is_not_the_watchers_fault(tmp_path: Path, clock: Clock, why: str) -> None:
    supervisor = Scripted(away=why == "supervisord is away")
    guard = make(tmp_path, supervisor, clock, has_input=why == "events wait")
    beat(tmp_path, guard)
    clock.now += 3.0
    if why == "the socket was swept":
        beats_of(tmp_path).unlink()
    if why == "it beats":
        beat(tmp_path, guard)
    guard.on_wake(2.0 if why == "we slept" else 0.0)
    assert kills(supervisor) == 0


def test_beats_that_came_before_a_death_do_not_arm_for_the_next(
    tmp_path: Path, clock: Clock
) -> None:
    supervisor = Scripted()
    guard = make(tmp_path, supervisor, clock)
    beat(tmp_path, guard)
    sender = BeatSender(beats_of(tmp_path))
    sender(Beat(pid=7, doing="work", seconds=9.0, limit=3.0, overdue=True))
    sender.close()
    guard.on_event(state("EXITED", 41))
    guard.on_event(state("STARTING", 42))
    clock.now += 29.0
    guard.on_wake(0.0)
    assert kills(supervisor) == 0
    clock.now += 1.0
    guard.on_wake(0.0)
    assert kills(supervisor) == 1


def test_a_socket_that_cannot_be_made_ends_nobody(tmp_path: Path, clock: Clock) -> None:
    beats_of(tmp_path).mkdir()
    supervisor = Scripted()
    guard = make(tmp_path, supervisor, clock)
    guard.on_event(state("STARTING", 42))
    clock.now += 100.0
    guard.on_wake(0.0)
    assert kills(supervisor) == 0
    beats_of(tmp_path).rmdir()
    guard.on_event(SupervisorEvent("TICK_5", 1, {"when": "5"}, ""))
    beat(tmp_path, guard)
    clock.now += 3.0
    guard.on_wake(0.0)
    assert kills(supervisor) == 1


def test_tries_and_a_full_disk(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """An alert needs no disk; a try is a start like the others."""
    guard = make(tmp_path, Scripted(), clock)
    guard.on_event(message(outcome="gave up", detail="crash loop: 5 restarts in 60 s"))
    assert "gave up: crash loop: 5 restarts in 60 s; next try in 1 min" in caplog.text
    guard.on_event(message(outcome="tried again", pid=0, uptime_seconds=None, key="2"))
    assert [(each.outcome, each.number) for each in history(tmp_path)] == [
        ("gave up", 0),
        ("tried again", 1),
    ]
    history_path(tmp_path).unlink()
    history_path(tmp_path).symlink_to("/nowhere/at/all")
    caplog.clear()
    make(tmp_path, Scripted(), clock).on_event(message(key="3"))
    assert "cannot be written" in caplog.text


def test_it_begins_afresh_when_no_tick_comes(tmp_path: Path, clock: Clock) -> None:
    guard = make(tmp_path, Scripted(), clock)
    clock.now += 14.9
    assert not guard.is_deaf
    guard.on_event(SupervisorEvent("TICK_5", 1, {"when": "5"}, ""))
    clock.now += 14.9
    assert not guard.is_deaf
    clock.now += 0.2
    assert guard.is_deaf


def test_an_event_that_cannot_be_handled_is_logged_and_acknowledged(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    guard = make(tmp_path, Scripted(), clock)
    broken = SupervisorEvent("REMOTE_COMMUNICATION", 1, {"type": "headspace-guard"}, "{")
    stream = Stream([broken, message()])
    with pytest.raises(EOFError):
        listener_module.serve(stream, guard, clock)  # type: ignore[arg-type]
    assert stream.acknowledged == 2
    assert "could not be handled" in caplog.text
    assert len(history(tmp_path)) == 1


class Stream:
    def __init__(self, events: list[SupervisorEvent]) -> None:
        self._events = events
        self.acknowledged = 0

    def ready(self) -> None:
        pass

    def done(self) -> None:
        self.acknowledged += 1

    def read(self, _timeout: float, _others: object) -> SupervisorEvent:
        if not self._events:
            raise EOFError
        return self._events.pop(0)


def test_an_alert_comes_though_the_history_cannot_be_read(tmp_path: Path, clock: Clock) -> None:
    history_path(tmp_path).mkdir()
    make(tmp_path, Scripted(), clock).on_event(message(outcome="gave up", detail="a crash loop"))
    assert (tmp_path / listener_module.ALERT_STATE_NAME).read_text() == "gave up"
