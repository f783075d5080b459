"""Where reading goes on, kept in the database beside the events."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple
from uuid import UUID

import msgspec

from claude_headspace.events.event import storable
from claude_headspace.store.connection import Database, Row
from claude_headspace.transcripts.checkpoint import RULES, Checkpoint, LineCounts, file_stamp

# An entry of a btree index holds about 2,700 bytes.
MAX_PATH_BYTES = 1000

_COLUMNS = (
    "id, path, committed_offset, device, inode, mtime_ns, checksum, head, tail, counts::text,"
    " sessions::text[], state, rules, reread_bytes, reread_state, generation"
)
_REWIND = (
    "UPDATE checkpoints SET committed_offset = 0, checksum = 0, head = 0, tail = 0,"
    " counts = '{}', mtime_ns = NULL, state = '', rules = %s, reread_bytes = 0,"
    " reread_state = '' WHERE host = %s"
)


@dataclass(slots=True)
class StoredSource:
    """One row of checkpoints; `path` is the file's own.

    `rules`: those that its lines were read by. Up to `reread_bytes` they were read again by
    newer ones, which left `reread_state` open there. `generation` counts how often the file
    turned out to be rewritten.
    """

    id: int
    path: str
    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    counts: LineCounts = field(default_factory=LineCounts)
    sessions: set[UUID] = field(default_factory=set)
    rules: int = RULES
    reread_bytes: int = 0
    reread_state: str = ""
    generation: int = 1


class CommittedSource(NamedTuple):
    """A source as it was when it was read last; `recent`: within the last day.

    `open`: its lines left something open that is told once the file has been still.
    """

    path: str
    device: int
    inode: int
    size: int
    mtime_ns: int
    recent: bool
    open: bool

    @property
    def stamp(self) -> int:
        """What a sighting of the file says while nothing has changed."""
        return file_stamp(self.device, self.inode, self.size, self.mtime_ns)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Something that was not taken, kept to be looked at and tried again."""

    offset: int
    reason: str
    detail: str
    content: bytes


def stored_path(path: str) -> str:
    """A path as the database can hold it.

    Bytes that are no UTF-8 are spelt out; the end of a path too long for an index is a digest.
    """
    encoded = os.fsencode(path)
    if len(encoded) > MAX_PATH_BYTES:
        digest = hashlib.sha256(encoded).hexdigest()
        encoded = encoded[: MAX_PATH_BYTES - len(digest)] + digest.encode()
    return encoded.decode("utf-8", "backslashreplace")


class Checkpoints:
    """The sources of one host."""

    def __init__(self, database: Database, host: str) -> None:
        self._database = database
        self._host = host

    def find(self, path: str) -> StoredSource | None:
        """The source at this path."""
        rows = self._database.execute(
            f"SELECT {_COLUMNS} FROM checkpoints WHERE host = %s AND path = %s",  # noqa: S608
            (self._host, stored_path(path)),
        )
        return _stored(rows[0], path) if rows else None

    def find_by_inode(self, device: int, inode: int) -> list[StoredSource]:
        """Sources that were this file when they were read last; their paths as stored."""
        rows = self._database.execute(
            f"SELECT {_COLUMNS} FROM checkpoints"  # noqa: S608
            " WHERE host = %s AND inode = %s AND device = %s",
            (self._host, inode, device),
        )
        return [_stored(row, row[1]) for row in rows]

    def create(self, path: str) -> StoredSource:
        """The source at this path, which begins at its first byte if it is new.

        A crash of Postgres may take a new row back, and its id, until something after it was
        committed to the disk.
        """
        rows = self._database.execute(
            "INSERT INTO checkpoints (host, path, rules) VALUES (%s, %s, %s)"  # noqa: S608
            " ON CONFLICT (host, path) DO NOTHING;"
            f" SELECT {_COLUMNS} FROM checkpoints WHERE host = %s AND path = %s",
            (self._host, stored_path(path), RULES, self._host, stored_path(path)),
        )
        return _stored(rows[0], path)

    def rename(self, source: StoredSource, path: str) -> StoredSource:
        """The same source under its new path."""
        self._database.execute_durably(
            "UPDATE checkpoints SET path = %s WHERE id = %s",
            (stored_path(path), source.id),
        )
        return replace(source, path=path)

    def committed(self) -> Iterator[CommittedSource]:
        """Every source as it was when it was read last."""
        rows = self._database.execute(
            "SELECT path, device, inode, committed_offset, coalesce(mtime_ns, 0),"
            " updated_at > clock_timestamp() - interval '1 day', state <> ''"
            " FROM checkpoints"
            " WHERE host = %s AND inode IS NOT NULL",
            (self._host,),
        )
        return (CommittedSource._make(row) for row in rows)

    def rewind(self, paths: Sequence[str]) -> None:
        """Have these sources read again from their first byte."""
        spelt = [stored_path(path) for path in paths]
        self._database.execute_durably(f"{_REWIND} AND path = ANY (%s)", (RULES, self._host, spelt))

    def rewind_session(self, session: UUID) -> list[str]:
        """The same with those in which the session has lines; their paths as they are stored."""
        rows = self._database.execute_durably(
            f"{_REWIND} AND %s::uuid = ANY (sessions) RETURNING path",
            (RULES, self._host, str(session)),
        )
        return [row[0] for row in rows]

    def commit(self, source: StoredSource, dead_letters: Sequence[DeadLetter]) -> list[str]:
        """The statements that store where a source is now, and what was not taken from it."""
        p = source.checkpoint
        statements = [
            self._database.mogrify(
                "UPDATE checkpoints SET committed_offset = %s, device = %s, inode = %s,"
                " mtime_ns = %s, checksum = %s, head = %s, tail = %s, counts = %s,"
                " sessions = %s::uuid[], state = %s, rules = %s, reread_bytes = %s,"
                " reread_state = %s, generation = %s, updated_at = clock_timestamp()"
                " WHERE id = %s",
                (
                    p.offset, p.device, p.inode, p.mtime_ns, p.checksum, p.head, p.tail,
                    msgspec.json.encode(source.counts.as_json()).decode(),
                    [str(session) for session in source.sessions], p.state, source.rules,
                    source.reread_bytes, source.reread_state, source.generation, source.id,
                ),
            )
        ]  # fmt: skip
        return statements + self.reject(source, dead_letters)

    def reject(self, source: StoredSource, dead_letters: Sequence[DeadLetter]) -> list[str]:
        """The statements that keep what was not taken from a source."""
        return [self._reject(source, dead_letter) for dead_letter in dead_letters]

    def outdated(self, current: int, passed_over: Sequence[int]) -> StoredSource | None:
        """A source whose lines were read by older rules: the current one, else the newest."""
        rows = self._database.execute(
            f"SELECT {_COLUMNS} FROM checkpoints WHERE host = %s AND rules < %s"  # noqa: S608
            " AND inode IS NOT NULL AND NOT id = ANY (%s)"
            " ORDER BY id = %s DESC, mtime_ns DESC NULLS LAST LIMIT 1",
            (self._host, RULES, list(passed_over), current),
        )
        return _stored(rows[0], rows[0][1]) if rows else None

    def reread(self, source: StoredSource) -> str:
        """The statement that stores how far a source was read again."""
        return self._database.mogrify(
            "UPDATE checkpoints SET reread_bytes = %s, reread_state = %s WHERE id = %s",
            (source.reread_bytes, source.reread_state, source.id),
        )

    def retract(self, key: UUID, session: UUID) -> str:
        """The statement that marks a turn as one that would not be written today."""
        return self._database.mogrify(
            "UPDATE events SET retracted_at = clock_timestamp() WHERE event_key = %s"
            " AND session_uuid = %s AND event_type = 'turn_detected' AND retracted_at IS NULL",
            (str(key), str(session)),
        )

    def unresolved(self, reason: str) -> int:
        """How many dead letters for this reason nobody has resolved yet, on this host."""
        rows = self._database.execute(
            "SELECT count(*) FROM dead_letters r JOIN checkpoints s ON s.id = r.source_id"
            " WHERE r.reason = %s AND r.resolved_at IS NULL AND s.host = %s",
            (reason, self._host),
        )
        return int(rows[0][0])

    def keys_in_log(self, keys: Sequence[UUID]) -> list[UUID]:
        """Those of the keys under which the log has an event."""
        rows = self._database.execute(
            "SELECT DISTINCT event_key::text FROM events WHERE event_key = ANY (%s::uuid[])",
            ([str(key) for key in keys],),
        )
        return [UUID(row[0]) for row in rows]

    def rejected_at(self, source: StoredSource, offsets: Sequence[int]) -> list[int]:
        """Those of the places in a source from which something was rejected."""
        rows = self._database.execute(
            "SELECT DISTINCT source_offset FROM dead_letters"
            " WHERE source_id = %s AND source_offset = ANY (%s::bigint[])",
            (source.id, list(offsets)),
        )
        return [row[0] for row in rows]

    def _reject(self, source: StoredSource, dead_letter: DeadLetter) -> str:
        detail = storable(dead_letter.detail)[0]
        return self._database.mogrify(
            "INSERT INTO dead_letters (source_id, source_offset, reason, detail, content)"
            " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (source_id, source_offset, reason)"
            " DO UPDATE SET detail = excluded.detail, content = excluded.content,"
            " recorded_at = clock_timestamp(), resolved_at = NULL",
            (source.id, dead_letter.offset, dead_letter.reason, detail, dead_letter.content),
        )


def _stored(row: Row, path: str) -> StoredSource:
    source_id, _, offset, device, inode, mtime_ns, checksum, head, tail, counts, *rest = row
    sessions, state, *rereading = rest
    return StoredSource(
        source_id,
        path,
        Checkpoint(offset, device, inode, mtime_ns, checksum, head, tail, state),
        LineCounts.from_json(msgspec.json.decode(counts)),
        {UUID(session) for session in sessions},
        *rereading,
    )
