"""The watcher's current status, for the status file."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass

from claude_headspace.archive.archiver import Archiver
from claude_headspace.discovery.notifier import Notifications
from claude_headspace.discovery.scanner import Scanner
from claude_headspace.discovery.work_queue import WorkQueue
from claude_headspace.health.status_file import WatcherState, WatcherStatus
from claude_headspace.inbox.consumer import InboxConsumer
from claude_headspace.quarantine import Quarantine, told
from claude_headspace.sessions.log import Log
from claude_headspace.sessions.timeouts import SessionTimeouts
from claude_headspace.watcher.backlog import BacklogProgress
from claude_headspace.watcher.error_boundary import Boundary
from claude_headspace.watcher.meter import Meter


@dataclass(eq=False, kw_only=True)
class Snapshot:
    """Returns the whole status for a state of the watcher."""

    log: Log
    meter: Meter
    progress: BacklogProgress
    work_queue: WorkQueue
    quarantine: Quarantine[str]
    notifier: Notifications
    scanner: Scanner
    consumer: InboxConsumer
    timeouts: SessionTimeouts
    archiver: Archiver
    boundary: Boundary

    def __post_init__(self) -> None:
        self._started_at = time.time()

    def __call__(self, state: WatcherState, reason: str | None) -> WatcherStatus:
        """The current status."""
        self.progress.advance()
        meter, work_queue = self.meter, self.work_queue
        writes = asdict(self.log.writer.counters)
        return WatcherStatus(
            **writes | {"rejected": sum(meter.measures.rejected.values())},
            pid=os.getpid(),
            started_at=self._started_at,
            beat_at=time.time(),
            state=state,
            reason=reason,
            backlog_bytes=work_queue.backlog_bytes,
            backlog_files=work_queue.backlog_files,
            committed_bytes=meter.committed_bytes,
            committed_lines=meter.committed_lines,
            advanced_at=meter.advanced_at,
            oldest_unread_at=work_queue.waiting_since,
            notifications=self.notifier.complete,
            poison_lines=meter.poison_lines,
            trouble=self._trouble(),
            files=work_queue.files,
            sessions=len(self.log.sessions),
            capture_total_bytes=self.progress.total_bytes,
            capture_rate_bytes_per_second=self.progress.rate,
            measures=meter.measures,
        )

    def _trouble(self) -> str | None:
        """What cannot be read now, in one sentence."""
        sentences = [
            told("folders cannot be read", self.scanner.unreadable),
            told("files are in quarantine and tried again", self.quarantine.reasons),
            self.consumer.trouble,
            self.timeouts.trouble,
            told("files cannot be archived", self.archiver.trouble),
            told("work has failed and is tried again", self.boundary.put_off),
        ]
        return "; ".join(filter(None, sentences)) or None
