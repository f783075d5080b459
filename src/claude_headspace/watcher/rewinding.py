"""What people asked for sessions: those that were just registered are read from the first byte."""

from __future__ import annotations

from claude_headspace.capture.sources import Sources
from claude_headspace.discovery.listing import look
from claude_headspace.discovery.work_queue import WorkQueue
from claude_headspace.sessions.timeouts import SessionTimeouts
from claude_headspace.store.checkpoints import stored_path
from claude_headspace.store.connection import Database
from claude_headspace.store.sessions import REGISTRATION_CHANNEL
from claude_headspace.watcher.boundary import Boundary

REGISTRATIONS = "session registrations"


class Rewinding:
    """Applies registrations when one is notified, or when one that failed is due again."""

    def __init__(
        self,
        *,
        database: Database,
        timeouts: SessionTimeouts,
        sources: Sources,
        work_queue: WorkQueue,
        boundary: Boundary,
    ) -> None:
        self._database = database
        self._timeouts = timeouts
        self._sources = sources
        self._work_queue = work_queue
        self._boundary = boundary

    def look(self) -> None:
        """Apply what was asked for meanwhile."""
        notified = REGISTRATION_CHANNEL in self._database.notified()
        failed = REGISTRATIONS in self._boundary.put_off
        if notified or failed or self._timeouts.retries_registrations:
            self.apply()

    def apply(self) -> None:
        """Apply what was asked for, notified or not."""
        self._boundary.run_when_due(REGISTRATIONS, self._apply)

    def _apply(self) -> None:
        rewound = self._timeouts.apply_registrations()
        if not rewound:
            return
        self._sources.forget()
        paths = set(rewound)
        if not all(_may_be_there(path) for path in rewound):
            # Stored under another spelling than its own: see `stored_path`.
            paths.update(p for p in self._work_queue.finished() if stored_path(p) in paths)
        for path in paths:
            self._work_queue.reopen(path)
            self._work_queue.add_fresh(path)


def _may_be_there(path: str) -> bool:
    """Whether there is a file at the path, as far as is known."""
    try:
        return look(path) is not None
    except OSError:
        return True
