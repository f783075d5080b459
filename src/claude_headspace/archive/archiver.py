"""Archives what capture has read, a piece at a time, when nothing else is due.

What capture has just read is archived a little later, so that lines written one by one make one
piece. After that come everything captured before, and the other files of sessions. Memory holds
only where to look.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from claude_headspace.archive.merge import Merge
from claude_headspace.archive.next_piece import NextPiece
from claude_headspace.archive.pieces import Pieces
from claude_headspace.archive.round import Round
from claude_headspace.archive.session_folders import changed_files, folder_of
from claude_headspace.events.redaction import Redactor
from claude_headspace.store.connection import Database
from claude_headspace.transcripts.source_file import Doing, SourceFile

# How long after a write it is archived; the other files of the session follow later still.
DELAY_SECONDS = 1.0
FOLDER_DELAY_SECONDS = 10.0
# While lines are being written, the archive pauses after a step for this many times its duration,
# so that steps hardly delay lines; less if something has waited for long.
REST_BESIDE_CAPTURE = 20.0
REST_WHEN_LATE = 4.0
LATE_SECONDS = 15.0
# The longest step, while nobody else has anything to do.
SLICE_SECONDS = 0.2
SLOW_SECONDS = 60.0
# The most files of one kind that are remembered. The round finds what does not fit.
MOST = 1000

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Deferred(OrderedDict[K, tuple[V, float]]):
    """A bounded queue, earliest first: each key is due once, `delay` seconds after it was added."""

    def __init__(self, delay: float, most: int = MOST) -> None:
        super().__init__()
        self._delay = delay
        self._most = most

    def add(self, key: K, value: V) -> bool:
        """Add a key, or give it this value; False if there is no room."""
        if key in self:
            self[key] = (value, self[key][1])
            return True
        if len(self) >= self._most:
            return False
        self[key] = (value, time.monotonic() + self._delay)
        return True

    def put_first(self, key: K, value: V, since: float | None = None) -> None:
        """Put a key before all others: due now, or since `since`."""
        self[key] = (value, time.monotonic() if since is None else since)
        self.move_to_end(key, last=False)

    def take(self, now: float) -> tuple[K, V, float] | None:
        """A key that is due, its value, and since when; None if none is due."""
        if self.first > now:
            return None
        key, (value, since) = self.popitem(last=False)
        return key, value, since

    @property
    def first(self) -> float:
        """When, on the monotonic clock, the first key is due."""
        return next((due for _, due in self.values()), float("inf"))


@dataclass(eq=False, kw_only=True)
class Archiver:
    """Archives what capture has read; `step` does a little at a time.

    `wanted` says whether a session is to be archived; `is_capturing`, whether lines are being
    written now; `is_called`, whether something else needs the loop. `renumbered` is called for a
    file that was rewritten without capture noticing. At most `most` files that capture has read are
    remembered; the round finds the others.
    """

    database: Database
    machine: str
    enabled: bool
    redactor: Redactor | None
    wanted: Callable[[UUID], bool]
    is_capturing: Callable[[], bool]
    is_called: Callable[[], bool]
    renumbered: Callable[[], None]
    doing: Doing
    beat: Callable[[], None]
    most: int = MOST

    def __post_init__(self) -> None:
        self._pieces = Pieces(self.database)
        self._next_piece = NextPiece(
            pieces=self._pieces, redactor=self.redactor, wanted=self.wanted, goes_on=self._goes_on,
            renumbered=self.renumbered, doing=self.doing, beat=self.beat,
        )  # fmt: skip
        self._merge = Merge(self.database, self._pieces)
        # Sources that capture has read, with their paths, and folders of sessions.
        self._sources: Deferred[int, str] = Deferred(DELAY_SECONDS, self.most)
        self._folders: Deferred[tuple[str, UUID], None] = Deferred(FOLDER_DELAY_SECONDS, self.most)
        self._sidecars: deque[tuple[str, UUID]] = deque()
        self._round = Round(
            self.database, self.machine, behind=self._sources.put_first,
            folder=lambda path, session: self._folders.put_first((path, session), None),
        )  # fmt: skip
        self._goes_on_until = 0.0
        self._next = 0.0

    def clear(self) -> None:
        """Drop what is known; the database says again what is not archived yet."""
        self._sources.clear()
        self._folders.clear()
        self._sidecars.clear()
        self._round.begin()
        self._next_piece.failed.clear()

    @property
    def trouble(self) -> dict[str, str]:
        """Files that cannot be archived, and why."""
        return self._next_piece.failed

    @property
    def due(self) -> float | None:
        """When, on the monotonic clock, the next step is due."""
        if not self.enabled:
            return None
        if self._sidecars:
            return self._next
        moments = (self._sources.first, self._folders.first, self._round.due, self._merge.due)
        return max(self._next, min(moments))

    @property
    def _is_late(self) -> bool:
        return time.monotonic() - self._sources.first > LATE_SECONDS

    def note(self, source_id: int, path: str) -> None:
        """Capture has read from this file."""
        if not self.enabled:
            return
        room = self._sources.add(source_id, path)
        if (folder := folder_of(path)) is not None:
            room = self._folders.add(folder, None) and room
        if not room:
            self._round.follow()

    def drain(self, source_id: int, file: SourceFile) -> None:
        """Archive the rest of a file that was deleted or replaced, before it is closed."""
        if not self.enabled:
            return
        piece = self._next_piece
        while (source := self._pieces.source(source_id)) is not None and piece.is_wanted(source):
            if not piece.of(source, file, "durably"):
                self._pieces.is_gone(source)
                break
            self.beat()
        self._sources.pop(source_id, None)

    def step(self) -> None:
        """Archive one piece, or search for something to archive, if it is time."""
        rest = REST_WHEN_LATE if self._is_late else REST_BESIDE_CAPTURE
        self._step(rest if self.is_capturing() else 0.0)

    def step_if_late(self) -> None:
        """The same while lines wait: only if it has waited so long that they must wait for it."""
        if self._is_late:
            self._step(REST_WHEN_LATE)

    def _step(self, rest: float) -> None:
        began = time.monotonic()
        due = self.due
        if due is None or began < due:
            return
        self._goes_on_until = 0.0 if rest else began + SLICE_SECONDS
        self._take_next(began)
        ended = time.monotonic()
        self._next = ended + rest * (ended - began)

    def _goes_on(self) -> bool:
        """Whether nobody minds another piece at once."""
        return time.monotonic() < self._goes_on_until and not self.is_called()

    def _take_next(self, now: float) -> None:
        if (found := self._sources.take(now)) is not None:
            self._take_source(*found)
        elif self._sidecars:
            self._take_sidecar(*self._sidecars[0])
        elif (folder := self._folders.take(now)) is not None:
            self._look_into(*folder[0])
        elif now >= self._round.due:
            self._round.step(now, failed=bool(self.trouble))
        else:
            self._merge.step(now)

    def _take_source(self, source_id: int, path: str, since: float) -> None:
        source = self._pieces.source(source_id)
        if source is not None and self._next_piece.at(source, path):
            self._sources.put_first(source_id, path, since)

    def _take_sidecar(self, path: str, session: UUID) -> None:
        if not self._next_piece.at(self._pieces.sidecar(self.machine, session, path), path):
            self._sidecars.popleft()

    def _look_into(self, folder: str, session: UUID) -> None:
        if not self.wanted(session):
            return
        known = self._pieces.sidecars(self.machine, session)
        with self.doing(f"listing {folder}", SLOW_SECONDS):
            changed, gone = changed_files(folder, known)
        self._sidecars.extend((path, session) for path in changed)
        for source in gone:
            self._pieces.is_gone(source)
