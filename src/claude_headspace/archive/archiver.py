"""Follows capture with the archive, a piece at a time, when nothing else is to be done.

What capture has just read is archived after a moment, so that lines that are written one by one
make one piece. Behind that it goes through everything that was captured before, and through the
other files of sessions; what it knows in memory is only where to look.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from uuid import UUID

from claude_headspace.archive.merge import Merge
from claude_headspace.archive.pieces import PIECE_BYTES, Archived, Generation, Pieces
from claude_headspace.archive.places import folder_of, owners
from claude_headspace.archive.redacted import LONGEST_BYTES, overwritten
from claude_headspace.archive.round import Round
from claude_headspace.archive.sidecars import changed_files
from claude_headspace.discovery.listing import reason_of
from claude_headspace.errors import DatabaseRefused
from claude_headspace.events.event import NO_SESSION
from claude_headspace.events.redaction import Redactor
from claude_headspace.store.connection import Database
from claude_headspace.transcripts.checkpoint import Checkpoint
from claude_headspace.transcripts.tailer import Announce, SourceFile

logger = logging.getLogger(__name__)

# What is written is archived so much later, and the other files of its session later still.
DELAY_SECONDS = 1.0
FOLDER_DELAY_SECONDS = 10.0
# After a step beside capture this is left alone for so many times as long as it took, so that
# hardly a line meets a step; less when something has waited for long.
REST_BESIDE_CAPTURE = 20.0
REST_WHEN_LATE = 4.0
LATE_SECONDS = 5.0
SLOW_SECONDS = 60.0


class Archiver:
    """Archives what capture has read; `step` does a little at a time.

    `wanted` says of a session whether it is to be kept; `is_capturing`, whether lines are being
    written at this time. `renumbered` is called when a file counts as rewritten of which capture
    had not noticed it.
    """

    def __init__(
        self,
        *,
        database: Database,
        machine: str,
        enabled: bool,
        redactor: Redactor | None,
        wanted: Callable[[UUID], bool],
        is_capturing: Callable[[], bool],
        renumbered: Callable[[], None],
        announce: Announce,
        beat: Callable[[], None],
    ) -> None:
        self._database = database
        self._machine = machine
        self._enabled = enabled
        self._redactor = redactor
        self._wanted = wanted
        self._is_capturing = is_capturing
        self._renumbered = renumbered
        self._announce = announce
        self._beat = beat
        self._pieces = Pieces(database)
        self._merge = Merge(database, self._pieces)
        # Sources that capture has read from, and folders of sessions: when it is their turn.
        self._noted: dict[int, tuple[str, float]] = {}
        self._folders: dict[tuple[str, UUID], float] = {}
        self._sidecars: deque[tuple[str, UUID]] = deque()
        self._round = Round(database, machine, behind=self._is_behind, folder=self._has_folder)
        self._next = 0.0
        self._failed: dict[str, str] = {}

    def forget(self) -> None:
        """Learn from the database again what is not archived yet."""
        self._noted.clear()
        self._folders.clear()
        self._sidecars.clear()
        self._round.begin()
        self._failed.clear()

    @property
    def trouble(self) -> dict[str, str]:
        """Files that cannot be archived, and why."""
        return self._failed

    @property
    def due(self) -> float | None:
        """When, on the monotonic clock, the next step is due."""
        if not self._enabled:
            return None
        moments = [due for _, due in self._noted.values()]
        moments += self._folders.values()
        moments += [self._round.due, self._merge.due]
        if self._sidecars:
            return self._next
        return max(self._next, min(moments))

    @property
    def late(self) -> bool:
        """Whether something has waited for so long that capture is to leave time for it."""
        if not self._noted or time.monotonic() < self._next:
            return False
        oldest = min(due for _, due in self._noted.values())
        return time.monotonic() - oldest > LATE_SECONDS

    def note(self, source_id: int, path: str) -> None:
        """Capture has read from this file."""
        if not self._enabled:
            return
        now = time.monotonic()
        if source_id not in self._noted:
            self._noted[source_id] = (path, now + DELAY_SECONDS)
        if (folder := folder_of(path)) is not None:
            self._folders.setdefault(folder, now + FOLDER_DELAY_SECONDS)

    def drain(self, source_id: int, file: SourceFile) -> None:
        """Archive a file that is gone from its place to its end, before it is let go."""
        if not self._enabled:
            return
        while (source := self._pieces.source(source_id)) is not None and self._is_wanted(source):
            if not self._advance(source, file, last=True):
                self._pieces.is_gone(source)
                break
            self._beat()
        self._noted.pop(source_id, None)

    def step(self) -> None:
        """Archive one piece, or look for what is to be archived, if it is time."""
        began = time.monotonic()
        due = self.due
        if due is None or began < due:
            return
        self._take_next(began)
        rest = REST_BESIDE_CAPTURE if self._is_capturing() else 0.0
        took = time.monotonic() - began
        self._next = began + took + (min(rest, REST_WHEN_LATE) if self.late else rest) * took

    def _take_next(self, now: float) -> None:
        source_id = next((n for n, (_, due) in self._noted.items() if due <= now), None)
        folder = next((each for each, due in self._folders.items() if due <= now), None)
        if source_id is not None:
            self._take_noted(source_id)
        elif self._sidecars:
            self._take_sidecar(*self._sidecars[0])
        elif folder is not None:
            del self._folders[folder]
            self._look_into(*folder)
        elif now >= self._round.due:
            self._round.step(now, failed=bool(self._failed))
        else:
            self._merge.step(now)

    def _take_noted(self, source_id: int) -> None:
        path, due = self._noted.pop(source_id)
        source = self._pieces.source(source_id)
        if source is not None and self._take(source, path):
            self._noted[source_id] = (path, due)

    def _take_sidecar(self, path: str, session: UUID) -> None:
        if not self._take(self._pieces.sidecar(self._machine, session, path), path):
            self._sidecars.popleft()

    def _look_into(self, folder: str, session: UUID) -> None:
        if not self._wanted(session):
            return
        known = self._pieces.sidecars(self._machine, session)
        with self._announce(f"look into {folder}", SLOW_SECONDS):
            changed, gone = changed_files(folder, known)
        self._sidecars.extend((path, session) for path in changed)
        for source in gone:
            self._pieces.is_gone(source)

    def _is_behind(self, source_id: int, path: str) -> None:
        self._noted.setdefault(source_id, (path, time.monotonic()))

    def _has_folder(self, folder: str, session: UUID) -> None:
        self._folders.setdefault((folder, session), time.monotonic())

    def _take(self, source: Archived, path: str) -> bool:
        """Archive a piece of what stands at the path; whether there is more of it."""
        if not self._is_wanted(source):
            return False
        try:
            file = SourceFile(path, self._announce)
        except (FileNotFoundError, NotADirectoryError):
            if source.latest is None or not source.latest.gone:
                self._pieces.is_gone(source)
            return False
        except OSError as error:
            return self._fail(path, reason_of(error))
        try:
            more = self._advance(source, file)
        except OSError as error:
            return self._fail(path, reason_of(error))
        except DatabaseRefused as error:
            return self._fail(path, str(error))
        finally:
            file.close()
        self._failed.pop(path, None)
        return more

    def _fail(self, path: str, reason: str) -> bool:
        if self._failed.get(path) != reason:
            logger.warning("%s cannot be archived: %s", path, reason)
        self._failed[path] = reason
        return False

    def _is_wanted(self, source: Archived) -> bool:
        is_sidecar = source.captured is None
        whose = source.sessions if is_sidecar else owners(source.path, source.sessions)
        return any(map(self._wanted, whose)) if whose else self._wanted(NO_SESSION)

    def _advance(self, source: Archived, file: SourceFile, *, last: bool = False) -> bool:
        """Archive the next piece of an open file; whether there is more.

        `last`: no more will come of the file.
        """
        if source.captured is not None and file.identity != _identity(source.captured):
            return False  # Capture comes first, and tells of it then.
        to = self._generation(source, file)
        if to is None:
            return False
        before = to.checkpoint
        data, checkpoint = file.take(before, PIECE_BYTES)
        redacted = False
        if self._redactor is not None:
            data = self._whole_lines(file, source, before, data, last=last)
            checkpoint = file.after(before, data)
            data, redacted = overwritten(self._redactor, data)
        file.refresh()
        if file.compare(before, self._beat) != "same":
            return False
        if checkpoint == before and to is source.latest and not to.gone:
            return False
        self._pieces.append(to, data, checkpoint, redacted=redacted, durably=last)
        return bool(data) and checkpoint.offset < file.stat.st_size

    def _generation(self, source: Archived, file: SourceFile) -> Generation | None:
        """The generation that the file's next bytes belong to; None where capture is to say so."""
        latest = source.latest
        if latest is None or (source.captured is not None and latest.number < source.number):
            if source.captured and file.compare(source.captured, self._beat) != "same":
                return None
            return self._pieces.begin(source.id, source.number)
        if file.compare(latest.checkpoint, self._beat) == "same":
            return latest
        if source.captured is None:
            return self._pieces.begin(source.id, latest.number + 1)
        if file.compare(source.captured, self._beat) != "same":
            return None
        # What was archived and not captured is other now: a line that was cut off, and rewritten.
        number = self._pieces.rewritten(source)
        self._renumbered()
        return self._pieces.begin(source.id, number)

    def _whole_lines(
        self, file: SourceFile, source: Archived, before: Checkpoint, data: bytes, *, last: bool
    ) -> bytes:
        """So much of what was read as can be searched for secrets: no line is cut in two."""
        end = data.rfind(b"\n") + 1
        if not end and len(data) == PIECE_BYTES:
            data, _ = file.take(before, LONGEST_BYTES)
            end = data.find(b"\n") + 1 or (LONGEST_BYTES if len(data) == LONGEST_BYTES else 0)
        if last or (source.captured and source.captured.offset == before.offset + len(data)):
            return data
        return data[:end]


def _identity(checkpoint: Checkpoint) -> tuple[int | None, int | None]:
    return checkpoint.device, checkpoint.inode
