"""`claude-headspace rebuild`: rebuilds tool calls and model calls from the lines alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from uuid import UUID

from claude_headspace.archive.file import ArchivedFile
from claude_headspace.archive.pieces import Archived, Generation, Pieces
from claude_headspace.config import Config
from claude_headspace.events.event import NO_SESSION
from claude_headspace.sessions.log import Log
from claude_headspace.store.copies import Copies
from claude_headspace.store.projections import WorkRows, work_statements
from claude_headspace.transcripts.checkpoint import Checkpoint
from claude_headspace.transcripts.lines import Line
from claude_headspace.transcripts.parsed import Other, Parsed, Turn
from claude_headspace.transcripts.secrets import Redaction
from claude_headspace.transcripts.source_file import SourceFile
from claude_headspace.transcripts.transcript import Transcript

_KEYS = {"tool_calls": "tool_use_id", "model_calls": "message_id"}
# Only rows that have not changed since they were read.
_SEE = "SELECT {key}, hashtextextended(t::text, 0) FROM {table} t WHERE session_uuid = %s"
_DROP = """
DELETE FROM {table} t USING unnest(%s::text[], %s::bigint[]) AS seen (key, hash)
WHERE t.session_uuid = %s AND t.{key} = seen.key AND hashtextextended(t::text, 0) = seen.hash
"""
_SOURCES = """
SELECT id, ARRAY(SELECT source_offset FROM dead_letters
    WHERE source_id = c.id AND reason = 'poison' AND resolved_at IS NULL)
FROM checkpoints c WHERE %s::uuid = ANY (sessions) AND inode IS NOT NULL ORDER BY id
"""
_COPIES_DUE = "UPDATE agents SET copies = 'due' WHERE forked_from IS NOT NULL AND NOT fork_told"


@dataclass(slots=True)
class Rebuilt:
    """The result. `unread`: files that are neither on disk nor archived as captured.

    Rows of their sessions were not removed.
    """

    sessions: int = 0
    calls: int = 0
    replies: int = 0
    unread: int = 0


class Rebuild:
    """Reads all lines of sessions again: every generation, from the files and the archive."""

    def __init__(self, log: Log, config: Config) -> None:
        self._database = log.database
        self._sessions = log.sessions
        self._limit = config.file_watcher.max_line_bytes
        self._redaction = Redaction.of(config.privacy)
        self._pieces = Pieces(log.database)
        self.done = Rebuilt()

    def sessions(self) -> Iterator[UUID]:
        """All known sessions, of all machines."""
        page = "SELECT session_uuid::text FROM agents WHERE session_uuid > %s ORDER BY 1 LIMIT 500"
        last = str(NO_SESSION)
        while rows := self._database.execute(page, (last,)):
            last = rows[-1][0]
            yield from (UUID(row[0]) for row in rows)

    def run(self, sessions: Iterable[UUID]) -> Rebuilt:
        """Rebuild the rows of these sessions; the watcher may run meanwhile."""
        for session in sessions:
            self._session(session)
        # Comparing sessions shows what a fork repeats of its original.
        self._database.execute(_COPIES_DUE)
        copies = Copies(self._database, self._sessions.learnt)
        while copies.step():
            pass
        return self.done

    def _session(self, session: UUID) -> None:
        if not self._sessions.captured(session):
            return
        calls, replies = (self._seen(table, session) for table in _KEYS)
        rows = WorkRows()
        unread = 0
        for source_id, poison in self._database.execute(_SOURCES, (str(session),)):
            source = self._pieces.source(source_id)
            unread += source is None or not self._read(source, poison, session, rows)
        statements = work_statements(self._database, rows)
        if not unread:
            # A call keeps its row, because its result may arrive meanwhile. A reply's row changes
            # only by a newer line, so it is made again.
            gone = {name: calls[name] for name in calls if (session, name) not in rows.calls}
            drop = (self._drop(*each, session) for each in zip(_KEYS, (gone, replies), strict=True))
            statements = [*drop, *statements]
        if statements:
            self._database.execute("; ".join(statements))
        self.done.sessions += 1
        self.done.calls += len(rows.calls)
        self.done.replies += len(rows.replies)
        self.done.unread += unread

    def _seen(self, table: str, session: UUID) -> dict[str, int]:
        statement = _SEE.format(table=table, key=_KEYS[table])
        return {row[0]: row[1] for row in self._database.execute(statement, (str(session),))}

    def _drop(self, table: str, seen: dict[str, int], session: UUID) -> str:
        statement = _DROP.format(table=table, key=_KEYS[table])
        return self._database.mogrify(statement, (list(seen), list(seen.values()), str(session)))

    def _read(self, source: Archived, poison: list[int], session: UUID, rows: WorkRows) -> bool:
        """Add the lines of all generations of a source; False if one of them cannot be read."""
        archived = {each.number: each for each in self._pieces.generations(source.id)}
        whole = True
        for number in range(1, source.number + 1):
            committed = source.captured if number == source.number else None
            file = self._opened(source, archived.get(number), committed)
            if file is None:
                whole = False
                continue
            with closing(file):
                transcript = Transcript("")
                for line in _lines(file, committed, self._limit):
                    if line.start not in poison:
                        found = transcript.parse(line.data, line.start)
                        place = (source.id, number, line.start, line.size)
                        self.add(rows, found, session, *place)
        return whole

    def add(self, rows: WorkRows, found: Iterable[Parsed], session: UUID, *place: int) -> None:
        """Add one session's calls in a line; `place` is for LinePlace."""
        for each in map(self._redaction.parsed, found):
            if isinstance(each, Turn | Other) and each.session == session:
                self._sessions.add_work(rows, each, *place)

    def _opened(
        self, source: Archived, archived: Generation | None, committed: Checkpoint | None
    ) -> SourceFile | None:
        """A generation: from its file, as far as it was captured, else from the archive."""
        if committed is not None:
            with suppress(OSError):
                file = SourceFile(source.path)
                if file.compare(committed) == "same":
                    return file
                file.close()
        if archived is None or archived.redacted:
            return None
        whole = committed is None or archived.checkpoint.offset >= committed.offset
        return ArchivedFile(self._pieces, archived, source.path) if whole else None


def _lines(file: SourceFile, committed: Checkpoint | None, limit: int) -> Iterator[Line]:
    """The committed lines, the last one with or without a newline."""
    end = committed.offset if committed else file.stat.st_size
    at = Checkpoint()
    while at.offset < end:
        chunk = file.read(at, limit)
        if chunk.checkpoint.offset == at.offset:
            yield Line(at.offset, file.begin(at.offset, end - at.offset))
            return
        for line in chunk.lines:
            if isinstance(line, Line) and line.start < end:
                yield line
        at = chunk.checkpoint
