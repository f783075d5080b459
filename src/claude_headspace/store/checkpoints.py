"""Checkpoints of sources, stored in the database with the events."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from claude_headspace.errors import DatabaseUnavailable
from claude_headspace.store.connection import Database, Meanwhile, Row
from claude_headspace.store.dead_letters import DeadLetter
from claude_headspace.store.precondition import NOTHING_READ, Precondition, ReadRow
from claude_headspace.transcripts.checkpoint import RULES, Checkpoint, LineCounts, file_stamp

# A btree index entry holds about 2,700 bytes.
MAX_PATH_BYTES = 1000
# Rows per fetch when all are read.
PAGE_ROWS = 1000

_COLUMNS = (
    "id, path, committed_offset, device, inode, mtime_ns, checksum, head, tail, state,"
    " counts::text, sessions::text[], rules, reread_bytes, reread_state, generation"
)
_READ = "id, generation, committed_offset, checksum"
_CHANGED = "the checkpoint of {} was changed by another program: it is read again"
_REWIND = (
    "UPDATE checkpoints SET committed_offset = 0, checksum = 0, head = 0, tail = 0,"
    " counts = '{}', mtime_ns = NULL, state = '', rules = %s, reread_bytes = 0,"
    " reread_state = '' WHERE machine = %s"
)


@dataclass(frozen=True, slots=True)
class StoredSource:
    """One row of checkpoints; `path` is the file's own.

    `rules`: the version by which its lines were read. Up to `reread_bytes` they were read again
    by a newer one, with `reread_state` as the open state there. `generation` counts rewrites of
    the file. `precondition`: the row as it is in the database.
    """

    id: int
    path: str
    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    counts: LineCounts = field(default_factory=LineCounts)
    sessions: frozenset[UUID] = frozenset()
    rules: int = RULES
    reread_bytes: int = 0
    reread_state: str = ""
    generation: int = 1
    precondition: Precondition = NOTHING_READ

    def next_generation(self) -> StoredSource:
        """The row for rewritten content of the file: everything in it is new."""
        fresh = StoredSource(self.id, self.path, sessions=self.sessions)
        return replace(fresh, generation=self.generation + 1, precondition=self.precondition)

    def as_read(self, connection: int) -> StoredSource:
        """The same, based on the row as it was read or written over this connection."""
        read = self.checkpoint
        row = ReadRow(self.id, self.generation, read.offset, read.checksum)
        return replace(self, precondition=Precondition(connection, row))


class CommittedSource(NamedTuple):
    """A source as it was last read; `recent`: within a day; `open`: prompts wait."""

    path: str
    device: int
    inode: int
    size: int
    mtime_ns: int
    recent: bool
    open: bool

    @property
    def stamp(self) -> int:
        """The stamp that a sighting has while the file does not change."""
        return file_stamp(self.device, self.inode, self.size, self.mtime_ns)


def stored_path(path: str) -> str:
    """A path in the form in which the database can store it.

    Bytes that are not UTF-8 are escaped; a path too long for an index ends with a digest.
    """
    encoded = os.fsencode(path)
    if len(encoded) > MAX_PATH_BYTES:
        digest = hashlib.sha256(encoded).hexdigest()
        encoded = encoded[: MAX_PATH_BYTES - len(digest)] + digest.encode()
    return encoded.decode("utf-8", "backslashreplace")


class Checkpoints:
    """The sources of one machine."""

    def __init__(self, database: Database, machine: str | None) -> None:
        self._database = database
        self._machine = machine

    def find(self, path: str) -> StoredSource | None:
        """The source at this path."""
        found = self._select("path = %s", stored_path(path))
        return replace(found[0], path=path) if found else None

    def find_by_inode(self, device: int, inode: int) -> list[StoredSource]:
        """Sources that were this file when they were last read; with stored paths."""
        return self._select("inode = %s AND device = %s", inode, device)

    def create(self, path: str) -> StoredSource:
        """The source at this path; a new one starts at its first byte.

        A crash of Postgres may undo a new row and its id until a later commit is on disk.
        """
        insert = self._database.mogrify(
            "INSERT INTO checkpoints (machine, path, rules) VALUES (%s, %s, %s)"
            " ON CONFLICT (machine, path) DO NOTHING; ",
            (self._machine, stored_path(path), RULES),
        )
        return replace(self._select("path = %s", stored_path(path), first=insert)[0], path=path)

    def rename(self, source: StoredSource, path: str) -> StoredSource:
        """Give the source its new path."""
        statement = "UPDATE checkpoints SET path = %s WHERE id = %s"
        self._database.execute_durably(statement, (stored_path(path), source.id))
        return replace(source, path=path)

    def committed(self) -> Iterator[CommittedSource]:
        """All sources as they were last read, fetched in pages."""
        page = (
            "SELECT path, device, inode, committed_offset, coalesce(mtime_ns, 0),"
            " updated_at > clock_timestamp() - interval '1 day', state <> ''"
            " FROM checkpoints WHERE machine = %s AND path > %s AND inode IS NOT NULL"
            " ORDER BY path LIMIT %s"
        )
        after = ""
        while rows := self._database.execute(page, (self._machine, after, PAGE_ROWS)):
            yield from map(CommittedSource._make, rows)
            after = rows[-1][0]

    def rewind(self, paths: Sequence[str]) -> None:
        """Reset these sources, so that they are read from their first byte."""
        values = (RULES, self._machine, [stored_path(path) for path in paths])
        self._database.execute_durably(f"{_REWIND} AND path = ANY (%s)", values)

    def rewind_session(self, session: UUID) -> list[str]:
        """Reset the sources with lines of this session; returns their stored paths."""
        rewind = f"{_REWIND} AND %s::uuid = ANY (sessions) RETURNING path"
        rows = self._database.execute_durably(rewind, (RULES, self._machine, str(session)))
        return [row[0] for row in rows]

    def commit(
        self,
        source: StoredSource,
        dead_letters: Sequence[DeadLetter] = (),
        statements: Sequence[str] = (),
        meanwhile: Meanwhile | None = None,
        later: Callable[[], None] | None = None,
    ) -> StoredSource:
        """Commit a source's checkpoint with its dead letters and other statements.

        With `later`, this does not wait: the database's `finish_writes` does, and then calls it.
        """
        p = source.checkpoint
        values = {
            "committed_offset": p.offset, "device": p.device, "inode": p.inode,
            "mtime_ns": p.mtime_ns, "checksum": p.checksum, "head": p.head, "tail": p.tail,
            "counts": msgspec.json.encode(source.counts.as_json()).decode(), "state": p.state,
            "sessions": "{" + ",".join(map(str, source.sessions)) + "}", "rules": source.rules,
            "reread_bytes": source.reread_bytes, "reread_state": source.reread_state,
            "generation": source.generation,
        }  # fmt: skip
        letters = [each.statement(self._database, source.id) for each in dead_letters]
        also = "updated_at = clock_timestamp(), "
        return self._update(source, also, values, [*letters, *statements], meanwhile, later)

    def reread(self, source: StoredSource, statements: Sequence[str]) -> StoredSource:
        """Commit how far a source was read again, with other statements."""
        values = {"reread_bytes": source.reread_bytes, "reread_state": source.reread_state}
        return self._update(source, "", values, statements)

    def _update(
        self, source: StoredSource, also: str, values: Mapping[str, Any], statements: Sequence[str],
        meanwhile: Meanwhile | None = None, later: Callable[[], None] | None = None,
    ) -> StoredSource:  # fmt: skip
        """Raises DatabaseUnavailable if the row has changed since it was read."""

        def answered(rows: Sequence[Row]) -> None:
            if not rows:
                raise DatabaseUnavailable(_CHANGED.format(source.path))
            if later:
                later()

        columns = ", ".join(f"{name} = %s" for name in values)
        update = self._database.mogrify(
            f"UPDATE checkpoints SET {also}{columns}"  # noqa: S608
            f" WHERE ({_READ}) = (%s, %s, %s, %s) RETURNING id",
            (*values.values(), *(source.precondition.row or (source.id, 1, 0, 0))),
        )
        statements = [*statements, update]
        if later:
            self._database.require(source.precondition)
            self._database.execute_later("; ".join(statements), answered=answered)
        else:
            answered(self._database.store(statements, source.precondition, meanwhile=meanwhile))
        return source.as_read(source.precondition.connection)

    def outdated(self, current: int, passed_over: Sequence[int]) -> StoredSource | None:
        """A source that was read by older rules: the current one, else the newest."""
        found = self._select(
            "rules < %s AND inode IS NOT NULL AND NOT id = ANY (%s)"
            " ORDER BY id = %s DESC, mtime_ns DESC NULLS LAST LIMIT 1",
            RULES, list(passed_over), current,
        )  # fmt: skip
        return found[0] if found else None

    def unresolved(self, reason: str) -> int:
        """The number of unresolved dead letters with this reason on this machine."""
        rows = self._database.execute(
            "SELECT count(*) FROM dead_letters r JOIN checkpoints s ON s.id = r.source_id"
            " WHERE r.reason = %s AND r.resolved_at IS NULL AND s.machine = %s",
            (reason, self._machine),
        )
        return int(rows[0][0])

    def _select(self, which: str, *values: Any, first: str = "") -> list[StoredSource]:
        select = f"SELECT {_COLUMNS} FROM checkpoints WHERE machine = %s AND {which}"  # noqa: S608
        select = self._database.mogrify(select, (self._machine, *values))
        rows = self._database.execute(first + select)
        return [_stored(row, self._database.connection_number) for row in rows]


def _stored(row: Row, connection: int) -> StoredSource:
    source_id, path, *checkpoint = row[:10]
    counts, sessions, *reread = row[10:]
    return StoredSource(
        source_id, path, Checkpoint(*checkpoint), LineCounts.from_json(msgspec.json.decode(counts)),
        frozenset(map(UUID, sessions)), *reread,
    ).as_read(connection)  # fmt: skip
