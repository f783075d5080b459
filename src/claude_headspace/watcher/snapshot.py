"""One moment of the watcher, for the status file."""

from __future__ import annotations

import os
import time

from claude_headspace.discovery.work_queue import WorkQueue
from claude_headspace.health.measures import Measures
from claude_headspace.health.status import State, WatcherStatus
from claude_headspace.store.results import WriteCounters
from claude_headspace.watcher.loop import Loop


def snapshot(
    state: State,
    reason: str | None,
    *,
    started_at: float,
    loop: Loop,
    work_queue: WorkQueue,
    counters: WriteCounters,
    measures: Measures,
    notifications: bool,
    sessions: int,
) -> WatcherStatus:
    """What the status file says now."""
    backlog_bytes, backlog_files = (
        work_queue.backlog_bytes,
        work_queue.backlog_files,
    )
    progress = loop.progress
    progress.advance(backlog_bytes, backlog_files, loop.committed_bytes)
    return WatcherStatus(
        pid=os.getpid(),
        started_at=started_at,
        beat_at=time.time(),
        state=state,
        reason=reason,
        written=counters.written,
        duplicates=counters.duplicates,
        rejected=sum(measures.rejected.values()),
        failed=counters.failed,
        retries=counters.retries,
        last_write_at=counters.last_write_at,
        last_error=counters.last_error,
        failing_since=counters.failing_since,
        backlog_bytes=backlog_bytes,
        backlog_files=backlog_files,
        committed_bytes=loop.committed_bytes,
        committed_lines=loop.committed_lines,
        advanced_at=loop.advanced_at,
        oldest_unread_at=work_queue.waiting_since,
        notifications=notifications,
        poison_lines=loop.poison_lines,
        trouble=loop.trouble,
        files=work_queue.files,
        sessions=sessions,
        capture_total_bytes=progress.total_bytes,
        capture_rate_bytes_per_second=progress.rate,
        measures=measures,
    )
