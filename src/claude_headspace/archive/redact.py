"""`claude-headspace redact --existing`: today's patterns applied to what is stored."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from claude_headspace.archive.pieces import Generation, Pieces
from claude_headspace.archive.redacted import LONGEST_BYTES, overwritten
from claude_headspace.events.event import Event
from claude_headspace.events.redaction import Redactor, redact_bytes, redact_event
from claude_headspace.store.connection import Database
from claude_headspace.transcripts.checkpoint import Checkpoint

_PAGE = 200
_EVENTS = """
SELECT id, event_type, payload, annotations FROM events WHERE id > %s ORDER BY id LIMIT %s
"""
_STORE_EVENT = "UPDATE events SET payload = %s, annotations = %s WHERE id = %s AND payload = %s"
_STORE_PIECE = """
WITH changed AS (
    UPDATE archive_pieces SET digest = %s, content = %s WHERE source_id = %s AND generation = %s
    AND start = %s AND length = %s RETURNING 1)
UPDATE archive_generations SET redacted = true, stored = (SELECT sum(length(content))
    FROM archive_pieces WHERE source_id = %s AND generation = %s)
FROM changed WHERE source_id = %s AND generation = %s
"""
_NOBODY = UUID(int=0)


@dataclass(frozen=True, slots=True)
class _Piece:
    start: int
    data: bytes


class RedactExisting:
    """Goes through events, names of sessions, dead letters and the archive, a little at a time."""

    def __init__(
        self, database: Database, redactor: Redactor, progress: Callable[[], None] = lambda: None
    ) -> None:
        self._database = database
        self._redactor = redactor
        self._progress = progress
        self._pieces = Pieces(database)

    def run(self) -> Counter[str]:
        """How many rows of what were changed."""
        changed: Counter[str] = Counter()
        changed["events"] = self._events()
        changed["names of sessions"] = self._titles()
        changed["dead letters"] = self._dead_letters()
        for of in list(self._generations()):
            changed["pieces of the archive"] += self._generation(of)
        return +changed

    def _pages(self, statement: str, last: int = -(2**63)) -> Iterator[tuple[Any, ...]]:
        while rows := self._database.execute(statement, (last, _PAGE)):
            last = rows[-1][0]
            yield from rows
            self._progress()

    def _events(self) -> int:
        changed = 0
        for event_id, kind, payload, notes in self._pages(_EVENTS):
            found = Event(kind, datetime.now(UTC), payload, _NOBODY, annotations=notes)
            after = redact_event(self._redactor, found)
            if after is not found:
                values = [json.dumps(each) for each in (after.payload, dict(after.annotations))]
                values = [*values, event_id, json.dumps(payload)]
                self._database.execute(_STORE_EVENT, values)
                changed += 1
        return changed

    def _titles(self) -> int:
        changed = 0
        for agent_id, titles in self._pages(
            "SELECT id, titles FROM agents WHERE id > %s AND titles <> '{}' ORDER BY id LIMIT %s"
        ):
            after = {kind: self._redactor.redact(title)[0] for kind, title in titles.items()}
            if after != titles:
                values = (json.dumps(after), agent_id)
                self._database.execute("UPDATE agents SET titles = %s WHERE id = %s", values)
                changed += 1
        return changed

    def _dead_letters(self) -> int:
        changed = 0
        for letter_id, content in self._pages(
            "SELECT id, content FROM dead_letters WHERE id > %s ORDER BY id LIMIT %s"
        ):
            before = bytes(content)
            after = redact_bytes(self._redactor, before)
            if after != before and self._redactor.redact(before.decode("utf-8", "replace"))[1]:
                values = (after, letter_id)
                self._database.execute("UPDATE dead_letters SET content = %s WHERE id = %s", values)
                changed += 1
        return changed

    def _generations(self) -> Iterator[Generation]:
        for source_id, number, archived in self._database.execute(
            "SELECT source_id, generation, archived FROM archive_generations WHERE archived > 0"
        ):
            yield Generation(source_id, number, Checkpoint(archived))

    def _generation(self, of: Generation) -> int:
        """Lines are searched whole; the pieces keep their bounds."""
        waiting: list[_Piece] = []
        changed = 0
        for start, data in self._pieces.read(of):
            waiting.append(_Piece(start, data))
            whole = b"".join(piece.data for piece in waiting)
            end = whole.rfind(b"\n") + 1
            if data.endswith(b"\n") or (not end and len(whole) >= LONGEST_BYTES):
                changed += self._store(of, waiting, overwritten(self._redactor, whole)[0])
                waiting = []
            elif end > len(whole) - len(data):
                after = overwritten(self._redactor, whole[:end])[0] + whole[end:]
                changed += self._store(of, waiting, after)
                waiting = [_Piece(start, after[len(after) - len(data) :])]
            self._progress()
        whole = b"".join(piece.data for piece in waiting)
        return changed + self._store(of, waiting, overwritten(self._redactor, whole)[0])

    def _store(self, of: Generation, pieces: list[_Piece], after: bytes) -> int:
        """Store what these pieces hold now; how many were changed."""
        changed = at = 0
        for piece in pieces:
            data = after[at : at + len(piece.data)]
            at += len(data)
            if data != piece.data:
                digest, content = self._pieces.compressed(data)
                name = (of.source_id, of.number)
                values = (digest, content, *name, piece.start, len(data), *name, *name)
                self._database.execute(_STORE_PIECE, values)
                changed += 1
        return changed
