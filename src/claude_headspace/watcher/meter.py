"""Measures reading, writing and rejecting, in a few hundred nanoseconds per event."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from claude_headspace.capture.pipeline import CaptureStep
from claude_headspace.events.dead_letter_reasons import REFUSED
from claude_headspace.events.event import Event
from claude_headspace.events.event_types import installed_types
from claude_headspace.health.measures import Measures
from claude_headspace.store.results import WriteResult

# Older events are history; their age says nothing about the watcher.
LIVE_LAG = timedelta(minutes=1)
# How long after the last write to a file that was read sessions count as being written.
CAPTURING_SECONDS = 2.0
_ANSWERED = frozenset({"written", "again", "duplicate"})


class Meter:
    """Counts since the start; `advanced_at` is when a line was last read."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self.measures = Measures(written={kind.name: 0 for kind in installed_types()})
        self.committed_bytes = 0
        self.committed_lines = 0
        self.poison_lines = 0
        self.advanced_at: float | None = None
        self._written_at = 0.0

    @property
    def is_capturing(self) -> bool:
        """Whether lines are being written now: those of a backlog are older."""
        return self._now() - self._written_at < CAPTURING_SECONDS

    def read(self, step: CaptureStep, mtime_ns: int = 0) -> None:
        """Count what one step with a file has committed."""
        self.committed_bytes += step.bytes
        self.committed_lines += step.lines
        self.poison_lines += step.poison
        if step.bytes:
            self.advanced_at = self._now()
            self._written_at = max(self._written_at, min(mtime_ns / 1e9, self.advanced_at))

    def wrote(self, events: Sequence[Event], results: Sequence[WriteResult], took: float) -> None:
        """Count the results of a batch, and the seconds that it took."""
        if any(result.outcome in _ANSWERED for result in results):
            self.measures.write_seconds.observe(took)
        done = self._now()
        begun = datetime.fromtimestamp(done - took, tz=UTC)
        for event, result in zip(events, results, strict=True):
            if result.outcome == "written":
                self.measures.written[event.type] += 1
                if event.origin is not None and begun - LIVE_LAG < event.timestamp <= begun:
                    self.measures.lag_seconds.observe(done - event.timestamp.timestamp())
            elif result.outcome == "rejected":
                self.measures.rejected[REFUSED] += 1

    def rejected(self, reasons: Mapping[str, int]) -> None:
        """Count rejected lines; events that the log refused were counted with their batch."""
        for reason, count in reasons.items():
            if reason != REFUSED:
                self.measures.rejected[reason] = self.measures.rejected.get(reason, 0) + count
