"""Files that may have lines that are not in the log yet."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from uuid import UUID

from claude_headspace.capture.pipeline import CaptureStep
from claude_headspace.capture.sources import ActiveSource
from claude_headspace.discovery.listing import transcripts_of
from claude_headspace.discovery.work_queue import WorkQueue
from claude_headspace.quarantine import Quarantine

# For how many tries of an unreadable file the file that replaced it, and the end of its session,
# wait.
PATIENT_TRIES = 5


class Unfinished:
    """Files with an unfinished end: a line without a newline, or a prompt without a line.

    Knows how long each has been idle; after `wait_seconds` its end is read as it is.
    """

    def __init__(self, wait_seconds: float) -> None:
        self._wait = wait_seconds
        # The size when last seen, and when its end is due.
        self._files: dict[str, tuple[int, float]] = {}

    def __len__(self) -> int:
        return len(self._files)

    def __contains__(self, path: object) -> bool:
        return path in self._files

    @property
    def due(self) -> float | None:
        """When, on the monotonic clock, the next one is due."""
        return min((due for _, due in self._files.values()), default=None)

    def note(self, source: ActiveSource, step: CaptureStep) -> None:
        """Record that a file was read to its current end."""
        if not step.unfinished and not step.holds_prompts:
            self.discard(source.path)
            return
        seen = source.file.stat
        known = self._files.get(source.path)
        if known is None or known[0] != seen.st_size:
            still_for = max(0.0, time.time() - seen.st_mtime)
            due = time.monotonic() + max(0.0, self._wait - still_for)
            self._files[source.path] = (seen.st_size, due)

    def discard(self, path: str) -> None:
        """Drop a file whose end is complete."""
        self._files.pop(path, None)

    def take_due(self) -> Iterator[tuple[str, int]]:
        """Path and size of each file that has been idle for long enough."""
        now = time.monotonic()
        for path in [path for path, (_, due) in self._files.items() if due <= now]:
            yield path, self._files.pop(path)[0]


class Unread:
    """Knows the files of a session, and what keeps files from being read, for those that wait."""

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
        """Unreadable files, and files at or below unreadable folders."""
        unread = set(self._quarantine)
        for path in unreadable:
            unread.update((path, *self._work_queue.below(path)))
        return unread
