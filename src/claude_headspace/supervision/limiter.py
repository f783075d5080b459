"""Holding the restart limit from outside supervisord, for when its inner half is missing.

Every event comes after the respawn, so one spawn too many cannot be helped.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable

from claude_headspace.supervision.budget import RestartBudget
from claude_headspace.supervision.control import Supervisor, SupervisorFault, SupervisorUnavailable
from claude_headspace.supervision.history import RestartRecord

YOUNG_SECONDS = 10.0

log = logging.getLogger(__name__)


class OuterLimiter:
    """Counts respawns by their events; stops the program at the crash beyond the limit."""

    def __init__(
        self,
        supervisor: Supervisor,
        program: str,
        budget: RestartBudget,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.budget = budget
        self._supervisor = supervisor
        self._program = program
        self._clock = clock
        self._wall_clock = wall_clock
        self._started: float | None = None

    def on_start(self, from_state: str) -> None:
        """A process was started; after a death it is a restart."""
        self._started = self._clock()
        if from_state in ("EXITED", "BACKOFF"):
            self.budget.grant(self._started)

    def on_crash(self, pid: int, key: str) -> RestartRecord:
        """Tell what happened, as far as it can be known from here."""
        now = self._clock()
        used = self.budget.used(now)
        gave_up = self.budget.is_spent(now) and self._stop()
        window = self.budget.window_seconds
        return RestartRecord(
            at=self._wall_clock(),
            pid=pid,
            reason=self._reason(),
            uptime_seconds=None if self._started is None else now - self._started,
            attempt=used if gave_up else used + 1,
            limit=self.budget.limit,
            window_seconds=window,
            outcome="gave up" if gave_up else "restarted",
            detail=f"crash loop: {used} restarts in {window:g}s" if gave_up else "",
            key=key,
        )

    def _stop(self) -> bool:
        """Events may be old ones, kept while we were away: look before stopping anything."""
        try:
            program = self._supervisor.process(self._program)
            age = self._wall_clock() - program.started_at
            if program.state in ("STOPPED", "FATAL", "STOPPING"):
                return True
            if program.state == "RUNNING" and age > YOUNG_SECONDS:
                return False
            self._supervisor.call("supervisor.stopProcess", self._program, False)
        except (SupervisorUnavailable, SupervisorFault) as error:
            log.error("cannot stop %s: %s", self._program, error)  # noqa: TRY400  no traceback
            return False
        return True

    def _reason(self) -> str:
        """supervisord's own log is the only place that names the exit status."""
        try:
            text = str(self._supervisor.call("supervisor.readLog", -3000, 0))
        except (SupervisorUnavailable, SupervisorFault):
            return "unknown"
        pattern = rf"exited: {re.escape(self._program)} \((.*?); (?:not )?expected\)"
        found = re.findall(pattern, text)
        return found[-1].replace("terminated by", "killed by") if found else "unknown"
