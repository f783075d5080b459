"""`claude-headspace redact --existing`: applies the current patterns to stored data."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from claude_headspace.archive.overwrite import LONGEST_BYTES, overwritten
from claude_headspace.archive.pieces import Generation, Pieces
from claude_headspace.events.event import NO_SESSION, Event
from claude_headspace.events.redaction import Redactor, redact_bytes, redact_event, redact_json
from claude_headspace.store.connection import Database
from claude_headspace.store.projections import INPUT_BYTES, cut_input
from claude_headspace.transcripts.checkpoint import Checkpoint
from claude_headspace.transcripts.transcript import redacted_state

_PAGE = 200
_STORE_PIECE = """
WITH changed AS (
    UPDATE archive_pieces SET digest = %s, content = %s WHERE source_id = %s AND generation = %s
    AND start = %s AND length = %s RETURNING 1)
UPDATE archive_generations SET redacted = true, stored = (SELECT sum(length(content))
    FROM archive_pieces WHERE source_id = %s AND generation = %s)
FROM changed WHERE source_id = %s AND generation = %s
"""
# The update's trigger makes the search index read the row again.
_UNINDEX = "; DELETE FROM search_parts WHERE event_id = %s"


class _Texts(NamedTuple):
    """Text columns of a table; `redacted` returns their values without secrets."""

    name: str
    table: str
    columns: tuple[str, ...]
    redacted: Callable[[Redactor, Sequence[Any]], Sequence[Any]]
    key: tuple[str, ...] = ("id",)
    before_all: tuple[Any, ...] = (-(2**63),)


class RedactExisting:
    """Goes through all stored data, a little at a time."""

    def __init__(self, database: Database, redactor: Redactor) -> None:
        self._database = database
        self._redactor = redactor
        self._pieces = Pieces(database)

    def run(self) -> Counter[str]:
        """Redact everything; returns the number of changed rows by kind."""
        changed: Counter[str] = Counter()
        for texts in _TEXTS:
            changed[texts.name] += sum(self._store_texts(texts, row) for row in self._rows(texts))
        for source_id, number, archived in self._database.execute(
            "SELECT source_id, generation, archived FROM archive_generations WHERE archived > 0"
        ):
            of = Generation(source_id, number, Checkpoint(archived))
            changed["pieces of the archive"] += self._redact_generation(of)
        return +changed

    def _rows(self, texts: _Texts) -> Iterator[tuple[Any, ...]]:
        key = ", ".join(texts.key)
        columns = ", ".join((*texts.key, *texts.columns))
        statement = (
            f"SELECT {columns} FROM {texts.table}"  # noqa: S608
            f" WHERE ({key}) > ({_places(texts.key)}) ORDER BY {key} LIMIT {_PAGE}"
        )
        last = texts.before_all
        while rows := self._database.execute(statement, last):
            last = rows[-1][: len(last)]
            yield from rows

    def _store_texts(self, texts: _Texts, row: tuple[Any, ...]) -> bool:
        """Store a row without its secrets, unless it changed meanwhile; whether it had any."""
        key, before = row[: len(texts.key)], row[len(texts.key) :]
        after = texts.redacted(self._redactor, before)
        if list(after) == list(before):
            return False
        columns, places = ", ".join(texts.columns), _places(texts.columns)
        statement = (
            f"UPDATE {texts.table} SET ({columns}) = ROW ({places})"  # noqa: S608
            f" WHERE ({', '.join(texts.key)}) = ({_places(key)}) AND ({columns}) = ({places})"
        )
        values = [*map(_as_stored, after), *key, *map(_as_stored, before)]
        if texts.table == "events" and before[0].get("text") != after[0].get("text"):
            statement, values = statement + _UNINDEX, [*values, *key]
        self._database.execute(statement, values)
        return True

    def _redact_generation(self, of: Generation) -> int:
        """Search whole lines; the pieces keep their boundaries."""
        waiting: list[tuple[int, bytes]] = []
        changed = 0
        for start, data in self._pieces.read(of):
            waiting.append((start, data))
            whole = b"".join(each for _, each in waiting)
            end = whole.rfind(b"\n") + 1
            if data.endswith(b"\n") or (not end and len(whole) >= LONGEST_BYTES):
                changed += self._store(of, waiting, overwritten(self._redactor, whole)[0])
                waiting = []
            elif end > len(whole) - len(data):
                after = overwritten(self._redactor, whole[:end])[0] + whole[end:]
                changed += self._store(of, waiting, after)
                waiting = [(start, after[len(after) - len(data) :])]
        whole = b"".join(each for _, each in waiting)
        return changed + self._store(of, waiting, overwritten(self._redactor, whole)[0])

    def _store(self, of: Generation, pieces: Sequence[tuple[int, bytes]], after: bytes) -> int:
        """Store the new content of these pieces; returns how many changed."""
        changed = at = 0
        for start, before in pieces:
            data = after[at : at + len(before)]
            at += len(data)
            if data != before:
                digest, content = self._pieces.compressed(data)
                name = (of.source_id, of.number)
                values = (digest, content, *name, start, len(data), *name, *name)
                self._database.execute(_STORE_PIECE, values)
                changed += 1
        return changed


def _places(of: Sequence[Any]) -> str:
    return ", ".join(["%s"] * len(of))


def _as_stored(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, dict) else value


def _event(redactor: Redactor, values: Sequence[Any]) -> Sequence[Any]:
    payload, notes = values
    found = Event("", datetime.now(UTC), payload, NO_SESSION, annotations=notes)
    after = redact_event(redactor, found)
    if "revised" in notes:  # its earlier texts
        revised = redact_event(redactor, replace(found, payload=notes["revised"])).payload
        after = after.annotated(revised=revised)
    return after.payload, after.annotations


def _dead_letter(redactor: Redactor, values: Sequence[Any]) -> Sequence[Any]:
    content, detail = values
    found = redactor.redact(bytes(content).decode("utf-8", "replace"))[1]
    after = redact_bytes(redactor, bytes(content)) if found else content
    return after, redactor.redact(detail)[0]


def _titles(redactor: Redactor, values: Sequence[Any]) -> Sequence[Any]:
    return [{kind: redactor.redact(title)[0] for kind, title in values[0].items()}]


def _open_prompts(redactor: Redactor, values: Sequence[Any]) -> Sequence[Any]:
    def redact(text: str) -> str:
        return redactor.redact(text)[0]

    state, reread = values
    if reread:
        read_to, counts = json.loads(reread)
        reread = json.dumps([redacted_state(read_to, redact), counts])
    return redacted_state(state, redact), reread


def _call(redactor: Redactor, values: Sequence[Any]) -> Sequence[Any]:
    given, whole = values
    after = redact_json(redactor, given.encode())
    if after == given.encode():
        return values
    return cut_input(after), whole and len(after) <= INPUT_BYTES


_TEXTS = (
    _Texts("events", "events", ("payload", "annotations"), _event),
    _Texts("names of sessions", "agents", ("titles",), _titles),
    _Texts("dead letters", "dead_letters", ("content", "detail"), _dead_letter),
    _Texts("waiting prompts", "checkpoints", ("state", "reread_state"), _open_prompts),
    _Texts(
        "tool calls", "tool_calls", ("input", "input_whole"), _call,
        ("session_uuid", "tool_use_id"), (str(NO_SESSION), ""),
    ),
)  # fmt: skip
