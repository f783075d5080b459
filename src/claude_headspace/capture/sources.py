"""The files being read: opened, followed when renamed, and closed when replaced."""

from __future__ import annotations

import logging
import os
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

from claude_headspace.capture.source_changes import FileId, Identity, Seen, SourceChange, change_of
from claude_headspace.discovery.listing import find_by_inode, is_transcript, look
from claude_headspace.store.checkpoints import Checkpoints, StoredSource
from claude_headspace.transcripts.checkpoint import Checkpoint, file_stamp
from claude_headspace.transcripts.source_file import Doing, SourceFile, unreported

logger = logging.getLogger(__name__)

# The most open files; the one that was not read for the longest time is closed first.
MAX_OPEN = 64


@dataclass(slots=True)
class ActiveSource:
    """A source that is open, with its row as last stored."""

    stored: StoredSource
    file: SourceFile

    @property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint of the row."""
        return self.stored.checkpoint

    @property
    def path(self) -> str:
        """The current path of the file."""
        return self.stored.path

    @property
    def unread(self) -> int:
        """Bytes that were not committed at the last look."""
        return max(0, self.file.stat.st_size - self.checkpoint.offset)

    @property
    def stamp(self) -> int:
        """The stamp that a sighting has while the file does not change."""
        return file_stamp(*self.file.identity, self.file.stat.st_size, self.file.mtime_ns)

    def checked(self) -> ActiveSource:
        """The source with a checkpoint that fits the file: the first byte of replaced content."""
        self.file.refresh()
        contents = self.file.compare(self.checkpoint)
        seen = Seen(self.path, self.file.identity, contents)
        became = change_of(Identity.of(self.stored), seen)
        if not became.begins_generation:
            return replace(self)
        logger.info("%s %s: it is read from its beginning", self.path, became.value)
        return replace(self, stored=self.stored.next_generation())


class Sources:
    """Opens sources by path and keeps them open.

    `beat` is called during long work, `doing` before it, as for `SourceFile`.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        beat: Callable[[], None],
        doing: Doing = unreported,
    ) -> None:
        self._checkpoints = checkpoints
        self._beat = beat
        self._doing = doing
        self._active: OrderedDict[str, ActiveSource] = OrderedDict()
        # Files deleted or replaced while open, which are read to the end first.
        self.detached: list[ActiveSource] = []

    def reopened(self, source: ActiveSource) -> SourceFile:
        """The file of a source, opened again. Raises OSError like open."""
        return SourceFile(source.path, self._doing, self._beat)

    def reload(self) -> None:
        """Close files that can be opened again, and read checkpoints from the database again."""
        for path in list(self._active):
            self._drop(path)
        for source in self.detached:
            source.stored = self._checkpoints.create(source.path)

    def open(self, path: str) -> list[ActiveSource]:
        """The sources to read because something happened at this path.

        Usually the source at the path, and the one that was there before if it was renamed. Empty
        if that one has become `detached`: it must be read to its end first. Raises OSError if an
        existing file cannot be opened.
        """
        seen = look(path)
        active = self._active.get(path)
        if active is not None and seen is not None and seen.identity == active.file.identity:
            self._active.move_to_end(path)
            return [active]
        moved = [] if active is None else self._follow(active.stored, active.file)
        if active is not None and not moved:
            self.detached.append(self._active.pop(path))
            return []
        if seen is not None:
            return [*moved, *self._open_at(path)]
        known = None if moved else self._checkpoints.find(path)
        return moved if known is None else self._follow(known)

    def next_detached(self) -> ActiveSource | None:
        """The first detached source, as the database has it now; None if there is none."""
        if not self.detached:
            return None
        source = self.detached[0]
        source.stored = self._checkpoints.create(source.path)
        return source

    def finish_detached(self) -> None:
        """Close the first detached source, which has been read to its end."""
        self.detached.pop(0).file.close()

    def _follow(self, known: StoredSource, file: SourceFile | None = None) -> list[ActiveSource]:
        """A source whose file has a new name in the same folder, if there is one.

        `file` is its file, if it is open.
        """
        identity = Identity.of(known)
        if file is not None:
            identity = identity._replace(file=file.identity)
        folder = os.path.dirname(identity.path)
        beside = find_by_inode(folder, *identity.file) if identity.file else None
        if beside is None or (file is None and beside in self._active):
            return []
        found = file or SourceFile(beside, self._doing, self._beat)
        # While a file is open, no other file has its inode.
        contents = "same" if file else found.compare(known.checkpoint)
        if change_of(identity, Seen(beside, found.identity, contents)) is SourceChange.RENAMED:
            self._active.pop(known.path, None)
            return [self._keep(ActiveSource(self._rename(known, beside), found))]
        if file is None:
            found.close()
        return []

    def _open_at(self, path: str) -> list[ActiveSource]:
        """The source at this path, after one that was renamed from here."""
        file = SourceFile(path, self._doing, self._beat)
        try:
            known = self._checkpoints.find(path)
            is_other = known is not None and Identity.of(known).file not in (None, file.identity)
            moved = self._follow(known) if known is not None and is_other else []
            stored = known if known is not None and not moved else self._row_for(path, file)
        except BaseException:
            file.close()
            raise
        if stored is None:
            file.close()
            return moved
        return [*moved, self._keep(ActiveSource(stored, file))]

    def _row_for(self, path: str, file: SourceFile) -> StoredSource | None:
        """The row for a file at a path without one: that of a renamed file, or a new row.

        None for an empty file, and for a file whose name is not a transcript's, and was not before
        a rename.
        """
        for known in self._checkpoints.find_by_inode(*file.identity):
            stays = _may_be_at(known.path, file.identity)
            contents = file.compare(known.checkpoint)
            seen = Seen(path, file.identity, contents, stays)
            if change_of(Identity.of(known), seen) is SourceChange.RENAMED:
                return self._rename(known, path)
        is_one = is_transcript(path) and file.stat.st_size > 0
        return self._checkpoints.create(path) if is_one else None

    def _rename(self, known: StoredSource, path: str) -> StoredSource:
        displaced = self._checkpoints.find(path)
        if displaced is not None and displaced.id != known.id:
            self._checkpoints.rename(displaced, f"{path} (replaced, source {displaced.id})")
            self._drop(path)
        self._drop(known.path)
        logger.info("%s was renamed to %s", known.path, path)
        return self._checkpoints.rename(known, path)

    def _keep(self, active: ActiveSource) -> ActiveSource:
        self._active[active.path] = active
        while len(self._active) > MAX_OPEN:
            self._drop(next(iter(self._active)))
        return active

    def _drop(self, path: str) -> None:
        dropped = self._active.pop(path, None)
        if dropped is not None:
            dropped.file.close()


def _may_be_at(path: str, file: FileId) -> bool:
    """Whether the file may be at this path."""
    try:
        seen = look(path)
    except OSError:
        return True
    return seen is not None and seen.identity == file
