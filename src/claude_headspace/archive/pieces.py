"""The archive in Postgres: pieces of files, compressed, contiguous from the first byte on.

A generation is the content of a file from one rewrite to the next. Its pieces contain exactly the
bytes [0, archived): one statement changes both, if `archived` is still what it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal
from uuid import UUID

import zstandard

from claude_headspace.errors import HeadspaceError
from claude_headspace.store.checkpoints import stored_path
from claude_headspace.store.connection import Database, Row
from claude_headspace.transcripts.checkpoint import Checkpoint

# The most raw bytes of a piece: limits memory, and how long others wait for a step.
PIECE_BYTES = 1024 * 1024
_LEVEL = 3
_CURSOR = (
    "generation, archived, device, inode, mtime_ns, checksum, head, tail, redacted,"
    " gone_at IS NOT NULL AS gone"
)
# Joined to a source, whose id is `id`.
_LATEST = (
    f"LEFT JOIN LATERAL (SELECT {_CURSOR} FROM archive_generations"  # noqa: S608
    " WHERE source_id = f.id ORDER BY generation DESC LIMIT 1) g ON true"
)
_APPEND = """
WITH moved AS (
    UPDATE archive_generations SET archived = %s, device = %s, inode = %s, mtime_ns = %s,
        checksum = %s, head = %s, tail = %s, stored = stored + %s, loose = loose + %s,
        redacted = redacted OR %s, gone_at = NULL, updated_at = clock_timestamp()
    WHERE source_id = %s AND generation = %s AND archived = %s RETURNING source_id, generation)
"""
_PIECE = """
INSERT INTO archive_pieces (source_id, generation, start, length, digest, content)
SELECT source_id, generation, %s, %s, %s, %s FROM moved RETURNING 1
"""
_NO_PIECE = "SELECT 1 FROM moved"
How = Literal["now", "later", "durably"]
_TABLES = ("archive_pieces", "archive_generations")


class ArchiveDamaged(HeadspaceError):
    """The archive of a file is not what was written to it."""


@dataclass(frozen=True, slots=True)
class Generation:
    """A generation, of which `checkpoint.offset` bytes are archived."""

    source_id: int
    number: int
    checkpoint: Checkpoint
    redacted: bool = False
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Archived:
    """A file that the archive may contain, with its newest generation.

    `captured` is the checkpoint of capture, and `number` the generation that it reads; a sidecar
    has neither.
    """

    id: int
    path: str
    sessions: frozenset[UUID]
    captured: Checkpoint | None
    number: int
    latest: Generation | None


@dataclass(eq=False)
class Pieces:
    """Reads and writes the archive over one connection."""

    database: Database

    @cached_property
    def _compressor(self) -> zstandard.ZstdCompressor:
        return zstandard.ZstdCompressor(level=_LEVEL)

    def source(self, source_id: int) -> Archived | None:
        """A transcript, with its newest generation."""
        rows = self.database.execute(
            "SELECT f.id, f.path, f.sessions::text[], f.committed_offset, f.device, f.inode,"  # noqa: S608
            " f.mtime_ns, f.checksum, f.head, f.tail, f.generation, g.*"
            f" FROM checkpoints f {_LATEST} WHERE f.id = %s",
            (source_id,),
        )
        for row in rows:
            captured = Checkpoint(*row[3:10])
            sessions = frozenset(UUID(session) for session in row[2])
            return Archived(row[0], row[1], sessions, captured, row[10], _latest(row[0], row[11:]))
        return None

    def sidecars(self, machine: str, session: UUID) -> list[Archived]:
        """The other files of a session, each with its newest generation."""
        rows = self.database.execute(
            f"SELECT f.id, f.path, g.* FROM sidecars f {_LATEST}"  # noqa: S608
            " WHERE f.session_uuid = %s AND f.machine = %s",
            (str(session), machine),
        )
        return [_sidecar(row, session) for row in rows]

    def sidecar(self, machine: str, session: UUID, path: str) -> Archived:
        """One of them; a new one is added."""
        stored = stored_path(path)
        rows = self.database.execute(
            "INSERT INTO sidecars (machine, path, session_uuid) VALUES (%s, %s, %s)"  # noqa: S608
            " ON CONFLICT (machine, path) DO NOTHING; SELECT f.id, f.path, g.* FROM sidecars f"
            f" {_LATEST} WHERE f.machine = %s AND f.path = %s",
            (machine, stored, str(session), machine, stored),
        )
        return _sidecar(rows[0], session)

    def begin(self, source_id: int, number: int) -> Generation:
        """Start a generation, with nothing archived yet."""
        self.database.execute(
            "INSERT INTO archive_generations (source_id, generation) VALUES (%s, %s)"
            " ON CONFLICT DO NOTHING",
            (source_id, number),
        )
        return Generation(source_id, number, Checkpoint())

    def drop_before(self, source_id: int, number: int) -> None:
        """Drop all generations with a lower number."""
        gone = "DELETE FROM {} WHERE source_id = %s AND generation < %s"
        statement = "; ".join(map(gone.format, _TABLES))
        self.database.execute(statement, (source_id, number) * len(_TABLES))

    def append(
        self,
        to: Generation,
        data: bytes,
        checkpoint: Checkpoint,
        *,
        redacted: bool = False,
        how: How = "now",
    ) -> bool:
        """Archive the bytes after a generation's checkpoint; `later`: see `execute_later`.

        False, with nothing changed, if the archive is not where `to` says.
        """
        digest, content = self.compressed(data) if data else (b"", b"")
        p, start, length = checkpoint, to.checkpoint.offset, len(data)
        values: list[object] = [
            p.offset, p.device, p.inode, p.mtime_ns, p.checksum, p.head, p.tail, len(content),
            int(0 < length < PIECE_BYTES), redacted, to.source_id, to.number, start,
        ]  # fmt: skip
        statement = _APPEND + (_PIECE if data else _NO_PIECE)
        values += [start, length, digest, content] if data else []
        if how == "later":
            self.database.execute_later(statement, values)
            return True
        run = self.database.execute_durably if how == "durably" else self.database.execute
        return bool(run(statement, values))

    def rewritten(self, source: Archived) -> int:
        """Count a transcript as rewritten, unnoticed by capture; returns the generation."""
        next_one = "UPDATE checkpoints SET generation = generation + 1 WHERE id = %s"
        rows = self.database.execute(f"{next_one} RETURNING generation", (source.id,))
        return int(rows[0][0])

    def is_gone(self, source: Archived) -> None:
        """Record that a file no longer exists."""
        if source.latest is None:
            self.begin(source.id, source.number)
        gone = "UPDATE archive_generations SET gone_at = clock_timestamp() WHERE source_id = %s"
        self.database.execute(f"{gone} AND gone_at IS NULL", (source.id,))

    def generations(self, source_id: int) -> list[Generation]:
        """All generations of a file, oldest first."""
        rows = self.database.execute(
            f"SELECT {_CURSOR} FROM archive_generations WHERE source_id = %s"  # noqa: S608
            " ORDER BY generation",
            (source_id,),
        )
        return [_generation(source_id, row) for row in rows]

    def read(self, of: Generation, start: int = 0) -> Iterator[tuple[int, bytes]]:
        """(start, bytes) of the pieces, beginning with the one that contains `start`.

        Raises ArchiveDamaged if a piece is missing or does not match its digest.
        """
        at = start
        while at < of.checkpoint.offset:
            row = self._piece(of, at)
            if row is None or start != at != row[0]:
                raise ArchiveDamaged(f"{_named(of)}: byte {at} is missing")
            yield row[0], opened(of, row)
            at = row[0] + row[1]

    def _piece(self, of: Generation, at: int) -> Row | None:
        rows = self.database.execute(
            "SELECT start, length, digest, content FROM archive_pieces WHERE source_id = %s"
            " AND generation = %s AND start <= %s ORDER BY start DESC LIMIT 1",
            (of.source_id, of.number, at),
        )
        return rows[0] if rows and at < rows[0][0] + rows[0][1] else None

    def compressed(self, data: bytes) -> tuple[bytes, bytes]:
        """The digest and the compressed content of a piece."""
        return hashlib.sha256(data).digest(), self._compressor.compress(data)


def opened(of: Generation, piece: Row) -> bytes:
    """The bytes of a row (start, length, digest, content), verified by its digest."""
    start, length, digest, content = piece
    try:
        data = zstandard.ZstdDecompressor().decompress(content, max_output_size=length)
    except zstandard.ZstdError as error:
        raise ArchiveDamaged(f"{_named(of)}: the piece at byte {start}: {error}") from error
    if len(data) != length or hashlib.sha256(data).digest() != bytes(digest):
        raise ArchiveDamaged(f"{_named(of)}: the piece at byte {start} does not match its digest")
    return data


def _named(of: Generation) -> str:
    return f"the archive of source {of.source_id}, generation {of.number}"


def _latest(source_id: int, row: Row) -> Generation | None:
    return None if row[0] is None else _generation(source_id, row)


def _generation(source_id: int, row: Row) -> Generation:
    return Generation(source_id, row[0], Checkpoint(*row[1:8]), *row[8:])


def _sidecar(row: Row, session: UUID) -> Archived:
    latest = _latest(row[0], row[2:])
    number = latest.number if latest else 1
    return Archived(row[0], row[1], frozenset((session,)), None, number, latest)
