"""The files being read: opened, recognised after a rename, noticed when replaced."""

from __future__ import annotations

import logging
import os
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from claude_headspace.discovery.listing import Sighting, find_by_inode, is_transcript, look
from claude_headspace.store.checkpoints import Checkpoints, StoredSource
from claude_headspace.transcripts.checkpoint import RULES, Checkpoint, LineCounts, file_stamp
from claude_headspace.transcripts.tailer import Announce, SourceFile, unannounced

logger = logging.getLogger(__name__)

# Open files at most; the one longest unread is closed first.
MAX_OPEN = 64


@dataclass(slots=True)
class ActiveSource:
    """A source that is open, with its row as last stored."""

    stored: StoredSource
    file: SourceFile

    @property
    def path(self) -> str:
        """Where the file was found."""
        return self.stored.path

    @property
    def unread(self) -> int:
        """Bytes that are not committed, as of the last look."""
        return max(0, self.file.stat.st_size - self.stored.checkpoint.offset)

    @property
    def stamp(self) -> int:
        """What a sighting of the file says while nothing changes."""
        device, inode = self.file.identity
        return file_stamp(device, inode, self.file.stat.st_size, self.file.mtime_ns)

    def start_over(self) -> None:
        """The file is not what was read: everything in it is new."""
        self.stored.checkpoint = Checkpoint()
        self.stored.counts = LineCounts()
        self.stored.generation += 1
        self.stored.rules, self.stored.reread_bytes, self.stored.reread_state = RULES, 0, ""


class Sources:
    """Open sources by path. What is closed or forgotten is found again in the database."""

    def __init__(
        self, checkpoints: Checkpoints, beat: Callable[[], None], announce: Announce = unannounced
    ) -> None:
        self._checkpoints = checkpoints
        self._beat = beat
        self._announce = announce
        self._active: OrderedDict[str, ActiveSource] = OrderedDict()
        # Deleted or replaced while open: to be read to the end before anything else.
        self.detached: list[ActiveSource] = []

    def reopened(self, source: ActiveSource) -> SourceFile:
        """The file of a source, opened once more. Raises OSError as open does."""
        return SourceFile(source.path, self._announce)

    def forget(self) -> None:
        """Close what can be opened again; checkpoints come from the database again."""
        while self._active:
            self._active.popitem()[1].file.close()
        for source in self.detached:
            source.stored = self._checkpoints.create(source.path)

    def open(self, path: str) -> list[ActiveSource]:
        """What is to be read because something happened at this path.

        Usually the source at the path; also the one that was there before, if it was renamed.
        Nothing when that one is `detached` now: it is to be read to its end first.
        Raises OSError when a file that is there cannot be opened.
        """
        found: list[ActiveSource] = []
        seen = look(path)
        active = self._active.get(path)
        if active is not None and not _is(active.file.identity, seen):
            moved = self._left_behind(active)
            if not moved:
                return []
            found += moved
            active = None
        if active is None and seen is not None:
            active = self._activate(seen, found)
        elif active is None and not found:
            found += self._follow_row(path)
        if active is not None:
            self._active.move_to_end(active.path)
            found.append(active)
        return found

    def _left_behind(self, active: ActiveSource) -> list[ActiveSource]:
        """An open source whose name now means another file or nothing: it keeps its content."""
        del self._active[active.path]
        device, inode = active.file.identity
        renamed = find_by_inode(os.path.dirname(active.path), device, inode)
        if renamed is None:
            self.detached.append(active)
            return []
        moved = ActiveSource(self._rename(active.stored, renamed), active.file)
        self._keep(moved)
        return [moved]

    def next_detached(self) -> ActiveSource | None:
        """The first detached source, as the database knows it now; None when there is none."""
        if not self.detached:
            return None
        source = self.detached[0]
        source.stored = self._checkpoints.create(source.path)
        return source

    def finish_detached(self) -> None:
        """Let go of the first detached source, which was read to its end."""
        self.detached.pop(0).file.close()

    def _follow_row(self, path: str) -> list[ActiveSource]:
        """A source that is known and gone from its path: perhaps it was renamed beside it."""
        stored = self._checkpoints.find(path)
        return [] if stored is None else self._renamed_beside(stored)

    def _renamed_beside(self, stored: StoredSource) -> list[ActiveSource]:
        device, inode = stored.checkpoint.device, stored.checkpoint.inode
        if device is None or inode is None:
            return []
        renamed = find_by_inode(os.path.dirname(stored.path), device, inode)
        if renamed is None or renamed == stored.path or renamed in self._active:
            return []
        file = SourceFile(renamed, self._announce)
        if file.compare(stored.checkpoint, self._beat) != "same":
            file.close()
            return []
        active = ActiveSource(self._rename(stored, renamed), file)
        self._keep(active)
        return [active]

    def _activate(self, seen: Sighting, found: list[ActiveSource]) -> ActiveSource | None:
        file = SourceFile(seen.path, self._announce)
        try:
            stored = self._row_for(seen.path, file, found)
        except BaseException:
            file.close()
            raise
        if stored is None:
            file.close()
            return None
        active = ActiveSource(stored, file)
        self._keep(active)
        return active

    def _row_for(
        self, path: str, file: SourceFile, found: list[ActiveSource]
    ) -> StoredSource | None:
        """The file's row: by its path, else by the inode it was known under, else a new one.

        None for a file that is no transcript by its name and was none before it was renamed.
        What stood at the path before and was renamed beside it is added to `found`.
        """
        stored = self._checkpoints.find(path)
        if stored is not None:
            known = stored.checkpoint.inode is None or _same_inode(stored, file)
            moved = [] if known else self._renamed_beside(stored)
            if not moved:
                return stored
            found += moved
        adopted = self._adopt(path, file)
        if adopted is None and is_transcript(path):
            return self._checkpoints.create(path)
        return adopted

    def _adopt(self, path: str, file: SourceFile) -> StoredSource | None:
        """The row of a source that was renamed to this path."""
        for stored in self._checkpoints.find_by_inode(*file.identity):
            if (
                _is_gone(stored.path, file)
                and file.compare(stored.checkpoint, self._beat) == "same"
            ):
                return self._rename(stored, path)
        return None

    def _rename(self, stored: StoredSource, path: str) -> StoredSource:
        displaced = self._checkpoints.find(path)
        if displaced is not None and displaced.id != stored.id:
            self._checkpoints.rename(displaced, f"{path} (replaced, source {displaced.id})")
            self._drop(path)
        self._drop(stored.path)
        logger.info("%s is now %s", stored.path, path)
        return self._checkpoints.rename(stored, path)

    def _keep(self, active: ActiveSource) -> None:
        self._active[active.path] = active
        while len(self._active) > MAX_OPEN:
            self._drop(next(iter(self._active)))

    def _drop(self, path: str) -> None:
        dropped = self._active.pop(path, None)
        if dropped is not None:
            dropped.file.close()


def _is(identity: tuple[int, int], seen: Sighting | None) -> bool:
    return seen is not None and (seen.device, seen.inode) == identity


def _is_gone(path: str, file: SourceFile) -> bool:
    """Whether the file is certainly not at this path."""
    try:
        return not _is(file.identity, look(path))
    except OSError:
        return False


def _same_inode(stored: StoredSource, file: SourceFile) -> bool:
    return (stored.checkpoint.device, stored.checkpoint.inode) == file.identity
