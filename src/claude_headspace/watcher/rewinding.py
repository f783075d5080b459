"""Applying registrations: newly registered sessions are read from their first byte."""

from __future__ import annotations

from dataclasses import dataclass

from claude_headspace.capture.sources import Sources
from claude_headspace.discovery.listing import look
from claude_headspace.discovery.work_queue import WorkQueue
from claude_headspace.sessions.timeouts import SessionTimeouts
from claude_headspace.store.checkpoints import stored_path
from claude_headspace.store.connection import Database
from claude_headspace.store.sessions import REGISTRATION_CHANNEL
from claude_headspace.watcher.error_boundary import Boundary

REGISTRATIONS = "session registrations"


@dataclass(eq=False, kw_only=True)
class Rewinding:
    """Applies registrations when notified, or when a failed one is due again."""

    database: Database
    timeouts: SessionTimeouts
    sources: Sources
    work_queue: WorkQueue
    boundary: Boundary

    def look(self) -> None:
        """Apply new registrations, if there are any."""
        notified = REGISTRATION_CHANNEL in self.database.notified()
        failed = REGISTRATIONS in self.boundary.put_off
        if notified or failed or self.timeouts.retries_registrations:
            self.apply()

    def apply(self) -> None:
        """Apply all registrations, notified or not."""
        self.boundary.run_when_due(REGISTRATIONS, self._apply)

    def _apply(self) -> None:
        rewound = self.timeouts.apply_registrations()
        if not rewound:
            return
        self.sources.forget()
        paths = set(rewound)
        if not all(_may_be_there(path) for path in rewound):
            # The stored path may differ from the file's path: see `stored_path`.
            paths.update(p for p in self.work_queue.finished() if stored_path(p) in paths)
        for path in paths:
            self.work_queue.reopen(path)
            self.work_queue.add_fresh(path)


def _may_be_there(path: str) -> bool:
    """Whether there may be a file at the path."""
    try:
        return look(path) is not None
    except OSError:
        return True
