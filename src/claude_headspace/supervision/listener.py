"""The half of the guard that runs as a supervisord event listener.

It writes down every restart, ends a watcher that hangs, raises alerts, and holds the restart
limit by itself when the half inside supervisord is missing.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from claude_headspace.errors import ConfigError
from claude_headspace.health.status import (
    StatusProblem,
    read_status,
    status_path,
    write_private,
)
from claude_headspace.health.verdict import Verdict, judge
from claude_headspace.supervision.alerts import AlertKind, Alerts
from claude_headspace.supervision.budget import WINDOW_SECONDS, RestartBudget
from claude_headspace.supervision.control import (
    PROGRAM,
    Supervisor,
    SupervisorFault,
    SupervisorUnavailable,
)
from claude_headspace.supervision.history import (
    RestartRecord,
    append_restart,
    history_path,
    read_restarts,
)
from claude_headspace.supervision.limiter import OuterLimiter
from claude_headspace.supervision.observe import observe
from claude_headspace.supervision.protocol import Event, EventStream
from claude_headspace.supervision.stuck import STARVED_SECONDS, SilenceTimer

MESSAGE_TYPE = "headspace-guard"
RESTARTS_DEFAULT = 5
DEAF_SECONDS = 15.0
RETRY_SECONDS = 0.5
ALERT_STATE_NAME = "alert-state"
_CRASHES = ("PROCESS_STATE_EXITED", "PROCESS_STATE_BACKOFF")
_ENDS = (*_CRASHES, "PROCESS_STATE_STOPPING", "PROCESS_STATE_STOPPED", "PROCESS_STATE_FATAL")

log = logging.getLogger("claude_headspace.guard")


@dataclass(frozen=True, slots=True)
class Settings:
    """What the listener needs to know."""

    state_directory: Path
    limit: int = RESTARTS_DEFAULT
    window_seconds: float = WINDOW_SECONDS
    alert_command: tuple[str, ...] = ()
    program: str = PROGRAM


class Listener:
    """Takes events one by one; `deadline` says when it wants to be woken without one."""

    def __init__(
        self,
        supervisor: Supervisor,
        settings: Settings,
        has_input: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._supervisor = supervisor
        self._settings = settings
        self._has_input = has_input
        self._clock = clock
        self._timer = SilenceTimer()
        self._stuck: tuple[int, float] | None = None
        self._enforced = False
        self._heard_tick = clock()
        self._history = history_path(settings.state_directory)
        self._alerts = Alerts(settings.alert_command)
        self._health = HealthWatch(settings.state_directory / ALERT_STATE_NAME, self._alerts)
        self._limiter = OuterLimiter(supervisor, settings.program, self._remembered_budget())
        self._arm_if_beating()

    @property
    def is_deaf(self) -> bool:
        """Whether supervisord has stopped sending: a fresh process is asked for events again."""
        return self._clock() - self._heard_tick > DEAF_SECONDS

    def wait_seconds(self) -> float:
        """How long to wait for an event before `on_silence` wants to be called."""
        deadline = self._heard_tick + DEAF_SECONDS + 0.1
        if self._timer.deadline is not None:
            deadline = min(deadline, self._timer.deadline)
        return max(0.0, deadline - self._clock())

    def on_event(self, event: Event) -> None:
        """Handle one event of supervisord."""
        if event.name == "TICK_5":
            self._on_tick()
        elif event.name == "REMOTE_COMMUNICATION":
            if event.values.get("type") == MESSAGE_TYPE:
                self._record(RestartRecord(**json.loads(event.body)))
        elif event.values.get("processname") == self._settings.program:
            self._on_program_event(event)

    def on_silence(self, overslept_seconds: float) -> None:
        """No event came in time."""
        if overslept_seconds > STARVED_SECONDS:
            self._timer.forgive(self._clock())
        elif self._timer.is_silent(self._clock()):
            self._end_stuck()

    def _on_program_event(self, event: Event) -> None:
        if event.name == "PROCESS_COMMUNICATION_STDOUT":
            self._timer.beat(self._clock())
        elif event.name == "PROCESS_STATE_STARTING":
            self._timer.started(self._clock())
            self._limiter.on_start(event.values["from_state"])
        elif event.name in _ENDS:
            self._timer.gone()
            if event.name in _CRASHES and not self._is_enforced():
                key = f"{os.getppid()}:{event.serial}"
                self._record(self._limiter.on_crash(int(event.values.get("pid", 0)), key))

    def _on_tick(self) -> None:
        self._heard_tick = self._clock()
        self._alerts.advance()
        seen = observe(
            self._supervisor, self._settings.state_directory, program=self._settings.program
        )
        self._health.take(judge(seen))

    def _is_enforced(self) -> bool:
        try:
            self._enforced = not self._supervisor.call("guard.getState")["broken"]
        except SupervisorFault:
            self._enforced = False
        except SupervisorUnavailable as error:
            log.warning("the guard inside supervisord cannot be asked: %s", error)
        return self._enforced

    def _end_stuck(self) -> None:
        """Kill the silent process, unless it turns out that supervisord was the silent one."""
        program, limit = self._settings.program, self._timer.limit_seconds
        try:
            info = self._supervisor.process(program)
            if self._has_input():
                return
            if not info.is_running:
                self._timer.gone()
                return
            log.error("%s (pid %d) is stuck for %g s and is killed", program, info.pid, limit)
            self._stuck = (info.pid, limit)
            self._supervisor.call("supervisor.signalProcess", program, "KILL")
            self._timer.gone()
        except (SupervisorUnavailable, SupervisorFault) as error:
            log.warning("cannot look after %s, which is silent: %s", program, error)
            self._timer.deadline = self._clock() + RETRY_SECONDS

    def _record(self, record: RestartRecord) -> None:
        records = read_restarts(self._history)
        if record.key in (known.key for known in records[-50:]):
            return
        if self._stuck is not None and record.pid == self._stuck[0]:
            record = replace(record, reason=f"stuck for {self._stuck[1]:g} s")
        number = records[-1].number if records else 0
        restarted = record.outcome == "restarted"
        record = replace(record, number=number + 1 if restarted else number)
        self._log(record)
        append_restart(self._history, record)
        if not restarted:
            self._health.gave_up(record.detail)

    def _log(self, record: RestartRecord) -> None:
        uptime = record.uptime_seconds
        lived = "an unknown time" if uptime is None else f"{uptime:.1f} s"
        program = self._settings.program
        if record.outcome == "restarted":
            log.warning(
                "%s (pid %d) ended after %s: %s; restart %d of %d in %g s",
                *(program, record.pid, lived, record.reason),
                *(record.attempt, record.limit, record.window_seconds),
            )
        else:
            log.error(
                "%s (pid %d) ended after %s: %s; given up: %s",
                *(program, record.pid, lived, record.reason, record.detail),
            )

    def _remembered_budget(self) -> RestartBudget:
        wall, now = time.time(), self._clock()
        restarts = [each for each in read_restarts(self._history) if each.outcome == "restarted"]
        moments = [now - (wall - each.at) for each in restarts if each.at <= wall]
        return RestartBudget(self._settings.limit, self._settings.window_seconds, moments)

    def _arm_if_beating(self) -> None:
        """A process that has beaten before this listener began is watched from now on."""
        try:
            info = self._supervisor.process(self._settings.program)
        except (SupervisorUnavailable, SupervisorFault):
            return
        status = read_status(status_path(self._settings.state_directory))
        if info.is_running and not isinstance(status, StatusProblem) and status.pid == info.pid:
            self._timer.beat(self._clock())


class HealthWatch:
    """Alerts when the verdict changes and has stayed changed; remembers what it last told."""

    def __init__(self, path: Path, alerts: Alerts) -> None:
        self._path = path
        self._alerts = alerts
        self._previous = ""
        self._told = self._recall()

    def take(self, verdict: Verdict) -> None:
        """One look at health; two equal ones in a row count, so a restart is no news."""
        current = "healthy" if verdict.status == "healthy" else "degraded"
        settled, self._previous = current == self._previous, current
        if not settled or current == self._told:
            return
        if current == "healthy":
            self._tell(current, "recovered", "the watcher is well again")
        else:
            self._tell(current, "degraded", "; ".join(verdict.reasons))

    def gave_up(self, reason: str) -> None:
        """The watcher stays down: that is told at once."""
        self._tell("degraded", "gave up", reason)

    def _tell(self, state: str, kind: AlertKind, reason: str) -> None:
        self._told = state
        log.log(logging.INFO if kind == "recovered" else logging.ERROR, "%s: %s", kind, reason)
        self._alerts.raise_alert(kind, reason)
        write_private(self._path, state)

    def _recall(self) -> str:
        try:
            return self._path.read_text("ascii")
        except (OSError, UnicodeDecodeError):
            return "healthy"


def serve(stream: EventStream, listener: Listener, clock: Callable[[], float]) -> None:
    """Handle events until supervisord closes the stream or falls silent."""
    stream.ready()
    while not listener.is_deaf:
        wait, began = listener.wait_seconds(), clock()
        event = stream.read(wait)
        if event is None:
            _survive(listener.on_silence, clock() - began - wait)
        else:
            _survive(listener.on_event, event)
            stream.done()
            stream.ready()
    log.error("no tick from supervisord for %g s: starting afresh", DEAF_SECONDS)


def _survive(handle: Callable[..., None], argument: object) -> None:
    """An event that fails once would fail again after every restart of this listener."""
    try:
        handle(argument)
    except Exception:
        log.exception("an event could not be handled: %s", argument)


def ask_settings(supervisor: Supervisor, program: str, window_seconds: float) -> Settings:
    """From the half inside supervisord, which has read the configuration already."""
    try:
        answer = supervisor.call("guard.getSettings")
    except (SupervisorUnavailable, SupervisorFault) as error:
        log.error("the guard inside supervisord does not answer: %s", error)  # noqa: TRY400
        return read_settings(program, window_seconds)
    return Settings(
        state_directory=Path(answer["state_directory"]),
        limit=answer["limit"],
        window_seconds=answer["window_seconds"],
        alert_command=tuple(answer["alert_command"]),
        program=program,
    )


def read_settings(program: str, window_seconds: float) -> Settings:
    """From the configuration, or with defaults beside supervisord's socket if that is bad."""
    from claude_headspace.config import load_config

    try:
        config = load_config()
    except ConfigError as error:
        log.error("bad configuration: %s", "; ".join(error.problems))  # noqa: TRY400
        directory = Path(_server_socket()).parent
        return Settings(directory, window_seconds=window_seconds, program=program)
    return Settings(
        state_directory=config.state.directory,
        limit=config.event_system.max_restarts_per_minute,
        window_seconds=window_seconds,
        alert_command=config.alerts.command or (),
        program=program,
    )


def _server_socket() -> str:
    return os.environ.get("SUPERVISOR_SERVER_URL", "").removeprefix("unix://")


def _take_stdout() -> int:
    """Keep standard output for the protocol: one stray line on it would end all delivery."""
    protocol = os.dup(1)
    os.dup2(2, 1)
    return protocol


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as supervisord's event listener."""
    parser = argparse.ArgumentParser(prog="claude-headspace guard", description=__doc__)
    parser.add_argument("--program", default=PROGRAM, help="the program to watch")
    parser.add_argument("--window-seconds", type=float, default=WINDOW_SECONDS)
    options = parser.parse_args(arguments)
    if not _server_socket():
        parser.error("this is an event listener: supervisord starts it")
    stream = EventStream(0, _take_stdout())
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s guard: %(message)s"
    )
    supervisor = Supervisor(_server_socket())
    settings = ask_settings(supervisor, options.program, options.window_seconds)
    listener = Listener(supervisor, settings, stream.has_input)
    try:
        serve(stream, listener, time.monotonic)
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
