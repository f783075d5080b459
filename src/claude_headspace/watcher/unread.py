"""Files that may have lines that are not in the log yet, for callers that must wait."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

from claude_headspace.discovery.listing import transcripts_of
from claude_headspace.discovery.work_queue import WorkQueue
from claude_headspace.quarantine import Quarantine
from claude_headspace.watcher.unfinished import Unfinished

# For how many tries of an unreadable file the file that replaced it, and the end of its session,
# wait.
PATIENT_TRIES = 5


class Unread:
    """Knows the files of a session, and what keeps files from being read."""

    def __init__(
        self,
        roots: Sequence[str],
        quarantine: Quarantine[str],
        work_queue: WorkQueue,
        unfinished: Unfinished,
    ) -> None:
        self._roots = roots
        self._quarantine = quarantine
        self._work_queue = work_queue
        self._unfinished = unfinished

    def of_session(self, session: UUID) -> bool:
        """Whether files of the session have lines that are not in the log; these are read next."""
        waiting = False
        for seen in transcripts_of(self._roots, str(session)):
            if seen.path in self._quarantine:
                waiting = waiting or self._quarantine.tries(seen.path) < PATIENT_TRIES
                continue
            if self._work_queue.add_seen(seen):
                self._work_queue.add_fresh(seen.path)
                waiting = True
            waiting = waiting or seen.path in self._unfinished
        return waiting

    def paths(self, unreadable: Iterable[str]) -> set[str]:
        """Unreadable files, and files at or below unreadable places."""
        unread = set(self._quarantine)
        for place in unreadable:
            unread.update((place, *self._work_queue.below(place)))
        return unread
