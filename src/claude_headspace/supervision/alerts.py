"""Running the user's alert command in the background, at changes of health among others."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

from claude_headspace.health.status_file import write_private
from claude_headspace.health.verdict import Verdict

TIME_LIMIT_SECONDS = 30.0
WAITING_ALERTS = 8

AlertKind = Literal["gave up", "degraded", "recovered", "waiting"]

logger = logging.getLogger(__name__)


class Alerts:
    """Runs one command at a time, each with a time limit; the others wait."""

    def __init__(
        self,
        command: Sequence[str],
        limit_seconds: float = TIME_LIMIT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._command = command
        self._limit = limit_seconds
        self._clock = clock
        self._waiting: deque[tuple[AlertKind, str, str]] = deque(maxlen=WAITING_ALERTS)
        self._running: subprocess.Popen[bytes] | None = None
        self._deadline = 0.0

    def raise_alert(self, kind: AlertKind, reason: str, session: str = "") -> None:
        """Run the command with HEADSPACE_ALERT, HEADSPACE_REASON and HEADSPACE_SESSION set."""
        if self._command:
            self._waiting.append((kind, reason, session))
            self.advance()

    def advance(self) -> None:
        """Handle ended commands, kill those that take too long, start the next; call regularly."""
        if self._running is not None and not self._has_ended(self._running):
            return
        self._running = None
        if self._waiting:
            self._begin(*self._waiting.popleft())

    def _has_ended(self, process: subprocess.Popen[bytes]) -> bool:
        status = process.poll()
        if status is None and self._clock() >= self._deadline:
            logger.error("alerts.command was killed: it was still running after %g s", self._limit)
            os.killpg(process.pid, signal.SIGKILL)
            status = process.wait()
        elif status:
            logger.error("alerts.command ended with status %d", status)
        return status is not None

    def _begin(self, kind: AlertKind, reason: str, session: str) -> None:
        told = {"HEADSPACE_ALERT": kind, "HEADSPACE_REASON": reason, "HEADSPACE_SESSION": session}
        try:
            self._running = subprocess.Popen(
                list(self._command),
                stdin=subprocess.DEVNULL,
                env=os.environ | told,
                start_new_session=True,
            )
        except OSError as error:
            logger.error("alerts.command cannot be run: %s", error)  # noqa: TRY400  no traceback
            return
        self._deadline = self._clock() + self._limit


class HealthWatch:
    """Alerts when the verdict changes lastingly; remembers the last alert."""

    def __init__(self, path: Path, alerts: Alerts) -> None:
        self._path = path
        self._alerts = alerts
        self._previous = ""
        self._told = "recovered"
        with suppress(OSError, UnicodeDecodeError):
            found = path.read_text("ascii")
            self._told = found if found in ("degraded", "gave up") else "recovered"

    def see(self, verdict: Verdict) -> None:
        """Handle one verdict; only two equal ones in a row count, so a restart raises no alert."""
        is_well = verdict.status == "healthy"
        current = "recovered" if is_well else "degraded"
        steady, self._previous = current == self._previous, current
        if not steady or is_well == (self._told == "recovered"):
            return
        if is_well:
            self._tell("recovered", "the watcher is healthy again")
        else:
            self._tell("degraded", "; ".join(verdict.reasons))

    def gave_up(self, reason: str) -> None:
        """The watcher stays down: alert at once, but only once until it has recovered."""
        if self._told != "gave up":
            self._tell("gave up", reason)

    def _tell(self, kind: AlertKind, reason: str) -> None:
        self._told = kind
        logger.log(logging.INFO if kind == "recovered" else logging.ERROR, "%s: %s", kind, reason)
        self._alerts.raise_alert(kind, reason)
        try:
            write_private(self._path, kind)
        except OSError as error:
            logger.warning("%s cannot be written: %s", self._path, error)
