"""Alerts about changes of health."""

from __future__ import annotations

import logging
from pathlib import Path

from claude_headspace.health.status_file import write_private
from claude_headspace.health.verdict import Verdict
from claude_headspace.supervision.alerts import AlertKind, Alerts

log = logging.getLogger("claude_headspace.guard")


class HealthWatch:
    """Alerts when the verdict changes lastingly; remembers the last alert."""

    def __init__(self, path: Path, alerts: Alerts) -> None:
        self._path = path
        self._alerts = alerts
        self._previous = ""
        self._told = self._recall()

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
        log.log(logging.INFO if kind == "recovered" else logging.ERROR, "%s: %s", kind, reason)
        self._alerts.raise_alert(kind, reason)
        try:
            write_private(self._path, kind)
        except OSError as error:
            log.warning("%s cannot be written: %s", self._path, error)

    def _recall(self) -> str:
        try:
            found = self._path.read_text("ascii")
        except (OSError, UnicodeDecodeError):
            return "recovered"
        return found if found in ("degraded", "gave up") else "recovered"
