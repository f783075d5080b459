"""`claude-headspace restore`: restores the files of a session where Claude Code looks for them."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple
from uuid import UUID

from claude_headspace.archive.pieces import Generation, Pieces
from claude_headspace.archive.session_folders import owners, place_below_root
from claude_headspace.errors import HeadspaceError
from claude_headspace.store.connection import Database

Fate = Literal["restored", "there already", "differs", "not archived"]
# The path of a source that another file has replaced (see capture.sources).
_REPLACED = re.compile(r" \(replaced, source \d+\)$")
_FILES = """
SELECT id, path, sessions::text[], generation, committed_offset FROM checkpoints
WHERE inode IS NOT NULL
AND (%(session)s::uuid = ANY (sessions) OR strpos(lower(path), %(session)s) > 0)
UNION ALL SELECT id, path, ARRAY[session_uuid::text], 0, 0 FROM sidecars
WHERE session_uuid = %(session)s::uuid ORDER BY path
"""


class NothingArchived(HeadspaceError):
    """The archive holds no file of the session."""


@dataclass(frozen=True, slots=True)
class Restored:
    """The result for a file. `redacted`: its secrets were overwritten in the archive.

    `partial`: it was deleted before all of it was archived.
    """

    path: str
    fate: Fate
    redacted: bool = False
    partial: bool = False


class _Known(NamedTuple):
    """A file of a session, and how far it was captured."""

    id: int
    path: str
    owners: frozenset[UUID]
    generation: int
    committed: int


@dataclass(eq=False)
class Restore:
    """Writes files from the archive: below `to`, or else to their original places.

    A file that was not below any of the roots goes below the first.
    """

    database: Database
    roots: Sequence[str]
    to: str | None
    missing_only: bool

    def __post_init__(self) -> None:
        self._pieces = Pieces(self.database)

    def run(self, session: UUID) -> Iterator[Restored]:
        """Restore the files one by one. Raises NothingArchived or ArchiveDamaged before writing."""
        known = self._files(session)
        own = [each for each in known if session in each.owners]
        if not own:
            raise NothingArchived(_where_its_lines_are(session, known))
        for file in own:
            path = self._place(file.path, session)
            generations = self._pieces.generations(file.id)
            generation = best(generations)
            if generation is None:
                yield Restored(file.path, "not archived")
            elif os.path.lexists(path):
                yield self._compare(generation, path)
            else:
                latest = (generations[-1].number, generations[-1].checkpoint.offset)
                partial = latest < (file.generation, file.committed)
                yield replace(self._write(generation, path), partial=partial)

    def _files(self, session: UUID) -> list[_Known]:
        """All known files with lines of the session, on any machine."""
        rows = self.database.execute(_FILES, {"session": str(session)})
        return [
            _Known(source_id, path, owners(path, set(map(UUID, sessions))), generation, committed)
            for source_id, path, sessions, generation, committed in rows
            if not _REPLACED.search(path)
        ]

    def _place(self, path: str, session: UUID) -> str:
        if self.to is None and any(path.startswith(root + os.sep) for root in self.roots):
            return path
        place = place_below_root(path, session)
        if os.pardir in place.split(os.sep):
            raise HeadspaceError(f"{path} cannot be restored to its place: use --to")
        return os.path.join(self.to or self.roots[0], place)

    def _compare(self, of: Generation, path: str) -> Restored:
        """Whether the file there begins with the bytes of this generation."""
        same = self.missing_only
        if not same:
            with suppress(OSError), open(path, "rb") as file:
                same = all(file.read(len(data)) == data for _, data in self._pieces.read(of))
        return Restored(path, "there already" if same else "differs", of.redacted)

    def _write(self, of: Generation, path: str) -> Restored:
        """Write a file completely or not at all, never over another file, even a concurrent one."""
        directory = os.path.dirname(path)
        os.makedirs(directory, mode=0o700, exist_ok=True)
        descriptor, fresh = tempfile.mkstemp(prefix=".restore-", dir=directory)
        try:
            with os.fdopen(descriptor, "wb") as out:
                for _, data in self._pieces.read(of):
                    out.write(data)
                out.flush()
                os.fsync(out.fileno())
            try:
                os.link(fresh, path)
            except FileExistsError:
                return self._compare(of, path)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(fresh)
        return Restored(path, "restored", of.redacted)


def _where_its_lines_are(session: UUID, known: Iterable[_Known]) -> str:
    places = [f"{each.path} (session {', '.join(map(str, each.owners))})" for each in known]
    others = f", but its lines are in {' and '.join(places)}: restore and resume that session"
    return f"the archive has no file of session {session}{others if places else ''}"


def best(generations: Iterable[Generation]) -> Generation | None:
    """The newest generation that is not empty; else the newest."""
    known = [each for each in generations if each.checkpoint.device is not None]
    filled = [each for each in known if each.checkpoint.offset]
    return next(reversed(filled or known), None)
