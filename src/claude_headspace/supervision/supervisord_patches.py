"""What the guard changes in supervisord's own loop: how it waits, starts, and what it keeps."""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from supervisor import events
from supervisor.process import Subprocess
from supervisor.states import ProcessStates, SupervisorStates

SHORT_LIFE_SECONDS = 5.0
SHORT_LIFE_PAUSE_SECONDS = 4.0
SHORTEST_POLL_SECONDS = 0.02
_LOGS = ("stdout_logfile", "stderr_logfile")
RESPAWN_SECONDS = 5.0


class ExitCodes:
    """The exit status of the last ended process, or minus the number of its signal.

    supervisord drops the status of an early death before it notifies anybody.
    """

    def __init__(self, options: Any) -> None:
        self._options = options
        self._last: tuple[int, int] | None = None

    def install(self) -> None:
        """Record what supervisord's own waitpid returns from now on."""
        waitpid = self._options.waitpid

        def remembering() -> tuple[int | None, int | None]:
            pid, status = waitpid()
            if pid:
                self._last = pid, os.waitstatus_to_exitcode(status)
            return pid, status

        self._options.waitpid = remembering

    def of(self, pid: int) -> int | None:
        """The status of this process, if it was the last."""
        return self._last[1] if self._last and self._last[0] == pid else None


def explain_exit(exit_code: int) -> str:
    """`exit status 1` or `killed by SIGKILL`."""
    if exit_code >= 0:
        return f"exit status {exit_code}"
    try:
        return f"killed by {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"killed by signal {-exit_code}"


def slow_down(event: Any) -> None:
    """Make a program wait that failed right after its start.

    With `startsecs=0`, which lets it end at any time, supervisord would start it again at once.
    """
    process = event.process
    has_failed = process.exitstatus > 0 and not event.expected
    is_quick = not process.config.startsecs and time.time() - process.laststart < SHORT_LIFE_SECONDS
    if has_failed and is_quick:
        process.change_state(ProcessStates.BACKOFF)
        process.delay = time.time() + SHORT_LIFE_PAUSE_SECONDS


def choose_logs(event: Any) -> None:
    """Leave out logs that cannot be opened now: supervisord would not start the program."""
    config = event.process.config
    wanted = vars(config).setdefault("wanted", {name: getattr(config, name) for name in _LOGS})
    for name, path in wanted.items():
        setattr(config, name, path if path and _can_append(Path(path)) else None)


def _can_append(path: Path) -> bool:
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.open("ab").close()
        return True
    return False


class Pace:
    """Deaths do not wake supervisord's poll, so its time limit is cut when one is expected."""

    def __init__(self, supervisord: Any, processes: Callable[[], Iterable[Subprocess]]) -> None:
        self._supervisord = supervisord
        self._processes = processes
        self._is_first = True

    def install(self, closed: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        """Limit each poll and prepare each start; `closed` keeps exceptions from supervisord."""
        events.subscribe(events.ProcessStateExitedEvent, closed(slow_down))
        events.subscribe(events.ProcessStateStartingEvent, closed(choose_logs))
        poller = self._supervisord.options.poller
        poll, limit = poller.poll, closed(self.limit)

        def polling(timeout: float) -> Any:
            shorter = limit(timeout)
            return poll(timeout if shorter is None else shorter)

        poller.poll = polling

    def limit(self, seconds: float) -> float:
        """How many of these seconds the next poll may take."""
        if self._is_first:
            self._is_first = False
            return 0.0
        if self._supervisord.options.mood < SupervisorStates.RUNNING:
            return SHORTEST_POLL_SECONDS
        return min([seconds, *map(_patience, self._processes())])


def _patience(process: Subprocess) -> float:
    """Seconds until this process may need supervisord's loop."""
    if process.state == ProcessStates.BACKOFF:
        return max(SHORTEST_POLL_SECONDS, float(process.delay) - time.time())
    if process.state == ProcessStates.STOPPING:
        return SHORTEST_POLL_SECONDS
    if process.state == ProcessStates.EXITED and time.time() - process.laststop < RESPAWN_SECONDS:
        return SHORTEST_POLL_SECONDS
    has_let_go = any(each.closed for each in process.dispatchers.values())
    return SHORTEST_POLL_SECONDS if has_let_go else math.inf
