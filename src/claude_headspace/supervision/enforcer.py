"""The guard's plugin in supervisord, which enforces the restart limit.

Listeners learn of a death only after the respawn; a subscriber is called in between, so only it
can grant an exact number of restarts. An exception that escapes from it would end supervisord:
every entry point catches exceptions, and reports them in the state that health reads.
"""

from __future__ import annotations

import json
import os
import time
import traceback
from collections.abc import Callable
from typing import Any

from supervisor import events
from supervisor.process import Subprocess
from supervisor.states import ProcessStates, SupervisorStates

from claude_headspace.health.observation import WATCHER
from claude_headspace.health.status_file import (
    BAD_CONFIGURATION_STATUS,
    WatcherStatus,
    read_status,
    status_path,
)
from claude_headspace.health.units import counted
from claude_headspace.supervision.guard_settings import GuardInterface, GuardSettings, shorten
from claude_headspace.supervision.history import MESSAGE_TYPE, RestartOutcome
from claude_headspace.supervision.restart_limit import (
    FILE_NAME,
    WINDOW_SECONDS,
    RestartLimit,
    SavedRestarts,
)
from claude_headspace.supervision.supervisord_patches import ExitCodes, Pace, explain_exit

LONGEST_DELAY_SECONDS = 1.5
_ATTRIBUTE = "claude_headspace_enforcer"
_CRASHED = (events.ProcessStateExitedEvent, events.ProcessStateBackoffEvent)
# A start from FATAL, by our own retry or an operator, counts as a restart, too.
_RESPAWNED_FROM = (ProcessStates.EXITED, ProcessStates.BACKOFF, ProcessStates.FATAL)


class Enforcer:
    """Counts the watcher's restarts and gives it up at the crash that would exceed the limit."""

    def __init__(self, supervisord: Any, window_seconds: float) -> None:
        self.broken = ""
        self.settings = GuardSettings(supervisord)
        self.restarts = RestartLimit(self.settings.restarts, window_seconds)
        self._supervisord = supervisord
        self._log = supervisord.options.logger
        self._saved = SavedRestarts(self.settings.state_directory / FILE_NAME)
        self._started: float | None = None
        self._exit_codes = ExitCodes(supervisord.options)
        self._pace = Pace(supervisord, self._processes)
        self._given_up_at: float | None = None
        self._is_trying = False
        self._on_trial = False

    def install(self) -> None:
        """Load the settings and the recorded restarts, and subscribe."""
        self.closed(self.read_settings)()
        self.closed(self._recall)()
        self.closed(self._exit_codes.install)()
        self.closed(self._patch_reread)()
        self.closed(self._pace.install)(self.closed)
        events.subscribe(events.ProcessStateEvent, self.closed(self._on_state))
        events.subscribe(events.ProcessGroupAddedEvent, self.closed(self._on_group_added))
        events.subscribe(events.Tick5Event, self.closed(self._on_tick))

    def closed(self, callback: Callable[..., Any]) -> Callable[..., Any]:
        """The callback, with every exception caught and reported to health; it is then None."""

        def call(*arguments: Any) -> Any:
            try:
                return callback(*arguments)
            except Exception as error:  # noqa: BLE001  one that escapes ends supervisord
                self.broken = f"{type(error).__name__}: {error}"
                self._log.critical(f"guard: {self.broken}\n{traceback.format_exc()}")
                return None

        return call

    def read_settings(self) -> None:
        """Take limit, stop time and state directory from the configuration, and apply them."""
        self.settings.read()
        self.restarts.limit = self.settings.restarts
        self._saved = SavedRestarts(self.settings.state_directory / FILE_NAME)

    def _recall(self) -> None:
        moments = {*self._saved.load(), *_restarts_in_process}
        self.restarts = RestartLimit(self.restarts.limit, self.restarts.window_seconds, moments)

    def _remember(self) -> None:
        _restarts_in_process[:] = self.restarts.granted()
        try:
            self._saved.save(self.restarts.granted())
        except OSError as error:
            self._log.error(f"guard: the restart count cannot be saved: {error}")

    def _patch_reread(self) -> None:
        """Make supervisord's reread apply our values, so that only edits show as differences."""
        compare, before = self._supervisord.diff_to_active, self.closed(self._on_reread)

        def comparing() -> Any:
            before()
            return compare()

        self._supervisord.diff_to_active = comparing

    def _on_reread(self) -> None:
        self.read_settings()
        for group_config in self._supervisord.options.process_group_configs:
            self.settings.apply(group_config)

    def _on_group_added(self, event: Any) -> None:
        self.settings.apply(self._supervisord.process_groups[event.group].config)

    def _on_state(self, event: Any) -> None:
        if event.process.config.name != WATCHER:
            return
        if isinstance(event, events.ProcessStateStartingEvent):
            self._on_start(event.from_state)
        elif isinstance(event, _CRASHED):
            self._on_crash(event.process)
        elif isinstance(event, events.ProcessStateFatalEvent):
            self._given_up_at = time.monotonic()

    def _on_start(self, from_state: int) -> None:
        self._started = time.monotonic()
        self._given_up_at = None
        self._on_trial = self._is_trying
        if from_state in _RESPAWNED_FROM:
            self.restarts.grant(self._started)
            self._remember()

    def _on_tick(self, _event: Any) -> None:
        """At long intervals, try a program again that was given up."""
        wait = self.next_try_seconds()
        is_working = self._supervisord.options.mood == SupervisorStates.RUNNING
        if wait is None or wait > 0 or not is_working or self.restarts.is_spent(time.monotonic()):
            return
        for process in self._processes():
            if process.state == ProcessStates.FATAL:
                self._try_again(process)

    def next_try_seconds(self) -> float | None:
        """How long until the program is tried again; None if it is not to be."""
        if self._given_up_at is None or not self.settings.retry_seconds:
            return None
        return max(0.0, self._given_up_at + self.settings.retry_seconds - time.monotonic())

    def _try_again(self, process: Subprocess) -> None:
        reason = f"given up: {process.spawnerr}" if process.spawnerr else "given up"
        self._log.info(f"guard: {WATCHER} is tried again; it was {reason}")
        self._publish(0, reason, "tried again", self.restarts.used(time.monotonic()) + 1)
        self._is_trying = True
        try:
            process.spawn()
        finally:
            self._is_trying = False

    def _processes(self) -> list[Subprocess]:
        groups = self._supervisord.process_groups.values()
        each = [process for group in groups for process in group.processes.values()]
        return [process for process in each if process.config.name == WATCHER]

    def _on_crash(self, process: Subprocess) -> None:
        exit_code = self._exit_codes.of(process.pid)
        used = self.restarts.used(time.monotonic())
        refusal = self._refusal(process, exit_code, used)
        reason = process.spawnerr if exit_code is None else explain_exit(exit_code)
        if refusal is None:
            if process.state == ProcessStates.BACKOFF:  # supervisord's own pauses and limit
                process.delay = min(process.delay, time.time() + LONGEST_DELAY_SECONDS)
                process.backoff = min(process.backoff, process.config.startretries)
            self._publish(process.pid, reason, "restarted", used + 1)
        else:
            self._give_up(process, refusal, reason)
            self._publish(process.pid, reason, "gave up", used, refusal)

    def _refusal(self, process: Subprocess, exit_code: int | None, used: int) -> str | None:
        if exit_code == BAD_CONFIGURATION_STATUS:
            return f"bad configuration: {self._configuration_problem(process.pid)}"
        if self._on_trial and (lived := self._uptime() or 0.0) < self.restarts.window_seconds:
            return f"crash loop: the retry ended after {lived:.1f} s"
        if used >= self.restarts.limit:
            return f"crash loop: {counted(used, 'restart')} in {self.restarts.window_seconds:g} s"
        return None

    def _uptime(self) -> float | None:
        return None if self._started is None else time.monotonic() - self._started

    def _configuration_problem(self, pid: int) -> str:
        self.read_settings()
        if self.settings.problem:
            return self.settings.problem
        status = read_status(status_path(self.settings.state_directory))
        if isinstance(status, WatcherStatus) and status.pid == pid and status.reason:
            return shorten((status.reason,))
        return "see the watcher's log"

    def _give_up(self, process: Subprocess, refusal: str, reason: str) -> None:
        process.spawnerr = refusal
        if process.state == ProcessStates.BACKOFF:
            process.give_up()
        else:
            process.change_state(ProcessStates.FATAL)
        self._log.error(
            f"gave up: {WATCHER}: {refusal}; it last ended with {reason}; "
            f"after a fix: claude-headspace supervisorctl start {WATCHER}"
        )

    def _publish(
        self, pid: int, reason: str, outcome: RestartOutcome, attempt: int, detail: str = ""
    ) -> None:
        """Send the listeners what supervisord's events leave out."""
        message = {
            "at": time.time(),
            "pid": pid,
            "reason": reason,
            "uptime_seconds": self._uptime() if pid else None,
            "attempt": attempt,
            "limit": self.restarts.limit,
            "window_seconds": self.restarts.window_seconds,
            "outcome": outcome,
            "detail": detail,
            "key": f"{os.getpid()}:{time.monotonic()}",
        }
        events.notify(events.RemoteCommunicationEvent(MESSAGE_TYPE, json.dumps(message)))


def make_enforcer(supervisord: Any, window_seconds: str = str(WINDOW_SECONDS)) -> GuardInterface:
    """Factory for `[rpcinterface:guard]`; supervisord calls it once per server section."""
    enforcer = getattr(supervisord, _ATTRIBUTE, None)
    if enforcer is None:
        enforcer = Enforcer(supervisord, float(window_seconds))
        setattr(supervisord, _ATTRIBUTE, enforcer)
        enforcer.install()
    return GuardInterface(enforcer, supervisord)


# Survives a reload even if the state directory cannot be written.
_restarts_in_process: list[float] = []
