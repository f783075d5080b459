"""The first scan after a start, which knows what was read of each source before."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable

from claude_headspace.discovery.listing import Sighting
from claude_headspace.discovery.walks import Budget
from claude_headspace.discovery.work_queue import WorkQueue
from claude_headspace.store.checkpoints import CommittedSource

logger = logging.getLogger(__name__)

# At the start, found files wait this long, so that the newest of all is read first.
START_SECONDS = 1.0


class FirstLook:
    """Starts with all known sources; done when each has been found or searched for.

    `look` returns the file at a path; `tell_ready` is called when everything has been seen once.
    """

    def __init__(
        self,
        work_queue: WorkQueue,
        look: Callable[[str], Sighting | None],
        tell_ready: Callable[[], None],
    ) -> None:
        self._work_queue = work_queue
        self._look = look
        self._tell_ready = tell_ready
        self._started_at = 0.0
        self.done = True
        # Committed bytes of sources not seen yet; -1 - bytes if not read for a day.
        self._unseen: dict[str, int] = {}

    def begin(self, stored: Iterable[CommittedSource]) -> None:
        """Start to look for these sources and for new files."""
        self._started_at = time.monotonic()
        self.done = False
        self._unseen.clear()
        for source in stored:
            self._unseen[source.path] = source.size if source.recent else -source.size - 1
            if not source.open:
                self._work_queue.finish(source.path, source.stamp)

    @property
    def comes_first(self) -> bool:
        """Whether found files must wait for files that may still be found."""
        return not self.done and time.monotonic() - self._started_at < START_SECONDS

    def see(self, seen: Sighting) -> None:
        """Record a found file."""
        self._work_queue.add_seen(seen, _size(self._unseen.pop(seen.path, 0)))

    def look_for_renamed(self) -> None:
        """Search for files that no scan finds: deleted, or renamed to another kind of name."""
        budget = Budget()
        while self._unseen:
            self._look_for(*self._unseen.popitem())
            if budget.spent:
                return
        self.done = True
        # An emptied dict keeps its memory.
        self._unseen = {}
        logger.info(
            "ready: %d files to read (%d bytes), %d already read",
            self._work_queue.backlog_files, self._work_queue.backlog_bytes, self._work_queue.files,
        )  # fmt: skip
        self._tell_ready()

    def _look_for(self, path: str, known: int) -> None:
        seen = self._look(path)
        if seen is not None:
            self._work_queue.add_seen(seen, _size(known))
        elif known >= 0:
            self._work_queue.add_fresh(path)
        else:
            self._work_queue.reopen(path)


def _size(known: int) -> int:
    return known if known >= 0 else -known - 1
