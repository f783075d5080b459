"""Results of the event writer."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

from claude_headspace.health.status_file import WriteFigures

WriteOutcome = Literal["written", "again", "duplicate", "rejected", "failed"]


@dataclass(frozen=True, slots=True)
class WriteResult:
    """The result for one event.

    written: in the log, with `event_id`. again: already in the log, from this very place.
    duplicate: another event of the same identity is in the log. rejected: it can never be written;
    `error` says why. failed: the database is unavailable; whether the event is written is unknown.
    `shared`: another session has an event with this key, too. `asked`: Postgres was asked.
    """

    outcome: WriteOutcome
    event_id: int | None = None
    error: str | None = None
    shared: bool = False
    asked: bool = True

    @property
    def acknowledged(self) -> bool:
        """Whether nothing is left to try."""
        return self.outcome != "failed"


class WriteCounters(WriteFigures):
    """Counts results."""

    __slots__ = ()

    def count(self, result: WriteResult) -> None:
        """Count one result."""
        if result.outcome == "written":
            self.written += 1
        elif result.outcome == "duplicate":
            self.duplicates += 1
        elif result.outcome == "rejected":
            self.rejected += 1
        elif result.outcome == "failed":
            self.failed += 1
        if result.error:
            self.last_error = result.error
        if result.outcome in ("written", "again", "duplicate"):
            self.last_write_at = time.time()
        if result.outcome == "failed":
            self.failing_since = self.failing_since or time.time()
        elif result.asked:
            self.failing_since = None

    def at_rest(self) -> None:
        """Nothing waits to be written: failed events were written later, or are gone."""
        self.failing_since = None
