"""What became of events that were given to the writer."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

from claude_headspace.health.status import WriteFigures

WriteOutcome = Literal["written", "again", "duplicate", "rejected", "failed"]


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What became of one event.

    written: in the log, with `event_id`. again: it was in the log already, from this very place.
    duplicate: another event of its identity is in the log. rejected: it can never be written as
    it is; `error` says why. failed: the database is away; nothing is known to be written.
    `shared`: the log has an event with this key under another session too. `asked`: Postgres was.
    """

    outcome: WriteOutcome
    event_id: int | None = None
    error: str | None = None
    shared: bool = False
    asked: bool = True

    @property
    def acknowledged(self) -> bool:
        """Whether there is nothing left to try."""
        return self.outcome != "failed"


class WriteCounters(WriteFigures):
    """Counts what becomes of events."""

    __slots__ = ()

    def count(self, result: WriteResult) -> None:
        """Take one result in."""
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
        """Nothing waits to be written: what failed was committed, or has gone."""
        self.failing_since = None
