"""What people asked for sessions: those that were just registered are read from the first byte."""

from __future__ import annotations

from dataclasses import dataclass

from claude_headspace.capture.sources import Sources
from claude_headspace.discovery.listing import look
from claude_headspace.discovery.work_queue import WorkQueue
from claude_headspace.sessions.timeouts import SessionTimeouts
from claude_headspace.store.checkpoints import stored_path
from claude_headspace.store.connection import Database
from claude_headspace.store.sessions import REGISTRATION_CHANNEL
from claude_headspace.watcher.boundary import Boundary

REGISTRATIONS = "session registrations"


@dataclass(eq=False, kw_only=True)
class Rewinding:
    """Applies registrations when one is notified, or when one that failed is due again."""

    database: Database
    timeouts: SessionTimeouts
    sources: Sources
    work_queue: WorkQueue
    boundary: Boundary

    def look(self) -> None:
        """Apply what was asked for meanwhile."""
        notified = REGISTRATION_CHANNEL in self.database.notified()
        failed = REGISTRATIONS in self.boundary.put_off
        if notified or failed or self.timeouts.retries_registrations:
            self.apply()

    def apply(self) -> None:
        """Apply what was asked for, notified or not."""
        self.boundary.run_when_due(REGISTRATIONS, self._apply)

    def _apply(self) -> None:
        rewound = self.timeouts.apply_registrations()
        if not rewound:
            return
        self.sources.forget()
        paths = set(rewound)
        if not all(_may_be_there(path) for path in rewound):
            # Stored under another spelling than its own: see `stored_path`.
            paths.update(p for p in self.work_queue.finished() if stored_path(p) in paths)
        for path in paths:
            self.work_queue.reopen(path)
            self.work_queue.add_fresh(path)


def _may_be_there(path: str) -> bool:
    """Whether there is a file at the path, as far as is known."""
    try:
        return look(path) is not None
    except OSError:
        return True
