"""The guard's process: a supervisord event listener.

It records every restart, kills a watcher that hangs, and raises alerts.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from claude_headspace.errors import HeadspaceError
from claude_headspace.health.observation import WATCHER
from claude_headspace.health.reasons import next_try
from claude_headspace.health.status_file import StatusProblem, read_status, status_path
from claude_headspace.health.verdict import judge
from claude_headspace.supervision.alerts import Alerts, HealthWatch
from claude_headspace.supervision.beats import beats_path
from claude_headspace.supervision.control import Supervisor, SupervisorError, SupervisorFault
from claude_headspace.supervision.hangs import Hangs
from claude_headspace.supervision.health_check import ask_guard, observe
from claude_headspace.supervision.history import (
    MESSAGE_TYPE,
    RestartRecord,
    append_restart,
    history_path,
    read_restarts,
)
from claude_headspace.supervision.protocol import EventStream, SupervisorEvent

DEAF_SECONDS = 15.0
ALERT_STATE_NAME = "alert-state"
_ENDS = ("EXITED", "BACKOFF", "STOPPING", "STOPPED", "FATAL")

logger = logging.getLogger("claude_headspace.guard")


class EnforcerMissing(HeadspaceError):
    """supervisord runs without the guard's plugin, which holds the restart limit."""

    exit_status = 78


@dataclass(frozen=True, slots=True)
class ListenerSettings:
    """The settings that the listener needs."""

    state_directory: Path
    beats: Path
    alert_command: tuple[str, ...] = ()


def ask_settings(supervisor: Supervisor, beats: Path) -> ListenerSettings:
    """Get the settings from the plugin in supervisord, which has read the configuration.

    Raises EnforcerMissing if there is no plugin, and SupervisorUnavailable.
    """
    try:
        answer = supervisor.call("guard.getSettings")
    except SupervisorFault as fault:
        raise EnforcerMissing(
            f"supervisord has no [rpcinterface:guard] ({fault}), so nothing limits restarts:"
            " copy the section from the shipped supervisord.conf"
        ) from fault
    return ListenerSettings(Path(answer["state_directory"]), beats, tuple(answer["alert_command"]))


class Listener:
    """Handles events one by one; `wait_seconds` says when to call `on_wake` without one."""

    def __init__(
        self,
        supervisor: Supervisor,
        settings: ListenerSettings,
        has_input: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._supervisor = supervisor
        self._settings = settings
        self._clock = clock
        self._heard_tick = clock()
        self._history = history_path(settings.state_directory)
        self._alerts = Alerts(settings.alert_command)
        self._health = HealthWatch(settings.state_directory / ALERT_STATE_NAME, self._alerts)
        self.hangs = Hangs(supervisor, settings.beats, has_input, self._has_written, clock)
        self._arm_if_running()

    @property
    def is_deaf(self) -> bool:
        """Whether supervisord has stopped sending: a new process receives events again."""
        return self._clock() - self._heard_tick > DEAF_SECONDS

    def wait_seconds(self) -> float:
        """How long to wait for an event before calling `on_wake`."""
        deadline = self._heard_tick + DEAF_SECONDS + 0.1
        if self.hangs.detector.deadline is not None:
            deadline = min(deadline, self.hangs.detector.deadline)
        return max(0.0, deadline - self._clock())

    def on_event(self, event: SupervisorEvent) -> None:
        """Handle one event of supervisord."""
        self.hangs.receive_beats()
        if event.name == "TICK_5":
            self._on_tick()
        elif event.name == "REMOTE_COMMUNICATION":
            if event.values.get("type") == MESSAGE_TYPE:
                self._record(RestartRecord(**json.loads(event.body)))
        elif event.values.get("processname") == WATCHER:
            state = event.name.removeprefix("PROCESS_STATE_")
            if state == "STARTING":
                self.hangs.detector.started(self._clock())
            elif state in _ENDS:
                self.hangs.detector.gone()

    def on_wake(self, overslept_seconds: float) -> None:
        """Handle a beat, or the lack of an event in time."""
        self.hangs.look(overslept_seconds)

    def _on_tick(self) -> None:
        self._heard_tick = self._clock()
        self.hangs.listen()
        self._alerts.advance()
        self._health.see(judge(observe(self._supervisor, self._settings.state_directory)))

    def _record(self, record: RestartRecord) -> None:
        try:
            records = read_restarts(self._history)
        except OSError as error:
            records = []
            logger.error("%s cannot be read: %s", self._history, error)  # noqa: TRY400
        if record.key in (known.key for known in records[-50:]):
            return
        ended = self.hangs.ended
        if ended is not None and record.pid == ended[0]:
            record = replace(record, reason=ended[1])
        number = records[-1].number if records else 0
        record = replace(record, number=number if record.outcome == "gave up" else number + 1)
        self._log(record)
        try:
            append_restart(self._history, record)
        except OSError as error:
            logger.error("%s cannot be written: %s", self._history, error)  # noqa: TRY400
        if record.outcome == "gave up":
            self._health.gave_up(record.detail + next_try(ask_guard(self._supervisor)))

    def _log(self, record: RestartRecord) -> None:
        if record.outcome == "tried again":
            logger.warning("%s is tried again: %s", WATCHER, record.reason)
            return
        lived = f"{record.uptime_seconds or 0:.1f} s"
        ended = f"{WATCHER} (pid {record.pid}) ended after {lived}: {record.reason}"
        if record.outcome == "restarted":
            count = f"{record.attempt} of {record.limit} in {record.window_seconds:g} s"
            logger.warning("%s; restart %s", ended, count)
        else:
            logger.error("%s; given up: %s", ended, record.detail)

    def _has_written(self, pid: int) -> bool:
        status = read_status(status_path(self._settings.state_directory))
        return not isinstance(status, StatusProblem) and status.pid == pid

    def _arm_if_running(self) -> None:
        """Watch a process that started before this listener."""
        try:
            info = self._supervisor.process(WATCHER)
        except SupervisorError:
            return
        if not info.is_running:
            return
        detector = self.hangs.detector
        arm = detector.armed if self._has_written(info.pid) else detector.started
        arm(self._clock())


def serve(stream: EventStream, listener: Listener, clock: Callable[[], float]) -> None:
    """Handle events until supervisord closes the stream or falls silent."""
    stream.ready()
    while not listener.is_deaf:
        wait, began = listener.wait_seconds(), clock()
        event = stream.read(wait, listener.hangs.descriptors())
        if event is None:
            _survive(listener.on_wake, clock() - began - wait)
        else:
            _survive(listener.on_event, event)
            stream.done()
            stream.ready()
    logger.error("no tick from supervisord for %g s: restarting", DEAF_SECONDS)


def _survive(handle: Callable[..., None], argument: object) -> None:
    """Log exceptions: an event that fails once would fail after every restart of this listener."""
    try:
        handle(argument)
    except Exception:
        logger.exception("an event could not be handled: %s", argument)


def main() -> int:
    """Run as supervisord's event listener."""
    beats = beats_path()
    if beats is None:
        print("this is an event listener: only supervisord can start it", file=sys.stderr)
        return 64
    # Standard output is the protocol's: one stray line would stop all events.
    stream = EventStream(0, os.dup(1))
    os.dup2(2, 1)
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s guard: %(message)s"
    )
    supervisor = Supervisor(os.environ["SUPERVISOR_SERVER_URL"].removeprefix("unix://"))
    try:
        settings = ask_settings(supervisor, beats)
        listener = Listener(supervisor, settings, stream.has_input)
        serve(stream, listener, time.monotonic)
    except HeadspaceError as error:
        logger.error("the guard cannot run: %s", error)  # noqa: TRY400
        return error.exit_status
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
