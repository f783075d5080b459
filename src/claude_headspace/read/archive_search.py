"""Searching tool outputs and thinking in the archive, the newest source first.

A request reads for a limited time, a few MB at once; its cursor says where the next request
continues.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from claude_headspace.read.connection import Reader
from claude_headspace.read.lines import Transcripts, moment_of, outputs_of, record_of, thoughts_of
from claude_headspace.read.paging import Looked, Page, read_cursor, write_cursor
from claude_headspace.read.passages import marked_places
from claude_headspace.read.query import AROUND, BEFORE, Hit, SearchQuestion, needles_of
from claude_headspace.read.selection import filters_of

STRETCH = 2_000_000
LONGEST_LINE = 8_000_000
_MARKS = {"outputs": b'"tool_result"', "thinking": b'"thinking"'}
# JSON has no other way to write these characters.
_PLAIN = re.compile(r"[ !#-.0-\[\]-~]+")
# What is not archived yet is read from the files of this machine.
_SOURCES = (
    "SELECT c.id, size FROM checkpoints c LEFT JOIN (SELECT DISTINCT ON (source_id) source_id,"
    " archived FROM archive_generations ORDER BY source_id, generation DESC) g"
    " ON g.source_id = c.id, LATERAL (SELECT CASE WHEN c.machine = %(machine)s::uuid"
    " THEN c.committed_offset ELSE g.archived END AS size) s WHERE size > 0 AND (%(every)s"
    " OR c.id IN (SELECT s.id FROM agents a JOIN checkpoints s"
    " ON s.sessions @> ARRAY[a.session_uuid]"
    " WHERE (%(session)s::uuid IS NULL OR a.session_uuid = %(session)s)"
    " AND (%(projects)s::int[] IS NULL OR a.project_id = ANY (%(projects)s))"
    " AND (%(since)s::timestamptz IS NULL OR a.last_seen_at >= %(since)s)"
    " AND (%(until)s::timestamptz IS NULL OR a.started_at < %(until)s))) ORDER BY c.id DESC"
)
_SESSIONS = (
    "SELECT a.session_uuid::text, a.id, p.path, p.host FROM agents a JOIN places p"
    " ON p.id = a.project_id WHERE a.session_uuid = ANY (%(uuids)s::uuid[])"
    " AND (%(projects)s::int[] IS NULL OR a.project_id = ANY (%(projects)s))"
)
_TOOLS = (
    "SELECT tool_use_id, tool FROM tool_calls WHERE (session_uuid, tool_use_id)"
    " IN (SELECT * FROM unnest(%s::uuid[], %s::text[]))"
)


class _Place(NamedTuple):
    """Where to continue: a line of a source, and how many hits in it were found before."""

    source: int
    offset: int
    skip: int


def search_archive(reader: Reader, asked: SearchQuestion, seconds: float) -> Page[Hit]:
    """The hits found in this time, and how far the search has come."""
    search = _Search(reader, asked)
    sources = search.sources()
    begin = _Place(*read_cursor(asked.cursor, int, int, int)) if asked.cursor else None
    hits, reached = search.look(sources, begin, time.monotonic() + seconds)
    whole = sum(size for _, size in sources)
    left = sum(size for source, size in sources if reached and source <= reached.source)
    looked = Looked(bytes=whole - left + (reached.offset if reached else 0), of_bytes=whole)
    return Page(tuple(search.placed(hits)), reached and write_cursor(reached), looked)


class _Search:
    """The state of one search."""

    def __init__(self, reader: Reader, asked: SearchQuestion) -> None:
        self._reader = reader
        self._asked = asked
        needles = needles_of(asked)
        self._wanted = [needle for needle, wanted in needles.items() if wanted]
        self._unwanted = [needle.lower() for needle, wanted in needles.items() if not wanted]
        runs = [run for needle in self._wanted for run in _PLAIN.findall(needle)]
        self._probe = max(runs, key=len, default="").lower().encode()
        self._mark = _MARKS[asked.where]
        self._filters = filters_of(reader, asked, None)
        self._files = Transcripts(reader)

    def sources(self) -> list[tuple[int, int]]:
        """(id, bytes) of the transcripts that may contain it, in the order of the search."""
        filters = ("session", "projects", "since", "until")
        every = all(self._filters[name] is None for name in filters)
        asked = {**self._filters, "every": every, "machine": self._reader.machine}
        return [(source, size) for source, size in self._reader.rows(_SOURCES, asked)]

    def look(
        self, sources: Sequence[tuple[int, int]], begin: _Place | None, until: float
    ) -> tuple[list[Hit], _Place | None]:
        """The hits from a place on, and where to continue; None at the end."""
        hits: list[Hit] = []
        for source, size in sources:
            if begin and source > begin.source:
                continue
            start, skip = begin[1:] if begin and source == begin.source else (0, 0)
            for offset, line in self._lines(source, start, size):
                place = _Place(source, offset, skip if offset == start else 0)
                found = list(self._in_line(place, line))[place.skip :] if line else []
                room = self._asked.limit - len(hits)
                hits += found[:room]
                if len(found) > room:
                    return hits, place._replace(skip=place.skip + room)
                reached = offset + len(line) + bool(line)
                if time.monotonic() > until and reached < size:
                    return hits, _Place(source, reached, 0)
            if time.monotonic() > until:
                following = next((each for each, _ in sources if each < source), None)
                return hits, None if following is None else _Place(following, 0, 0)
        return hits, None

    def _lines(self, source: int, start: int, size: int) -> Iterator[tuple[int, bytes]]:
        """Lines that may contain it, with their offsets; an empty line reports progress."""
        length = STRETCH
        while start < size:
            data = self._files.stretch(source, start, min(size, start + length))
            end = data.rfind(b"\n") + 1
            if not end and len(data) == length < LONGEST_LINE:
                length = LONGEST_LINE
                continue
            yield from self._candidates(data[:end] if end else data, start)
            if not data:
                return
            start, length = start + (end or len(data)), STRETCH
            yield start, b""

    def _candidates(self, data: bytes, start: int) -> Iterator[tuple[int, bytes]]:
        lower = data.lower() if self._probe else data
        at = lower.find(self._probe)
        while 0 <= at < len(data):
            first, end = data.rfind(b"\n", 0, at) + 1, data.find(b"\n", at)
            end = end if end >= 0 else len(data)
            if data.find(self._mark, first, end) >= 0:
                yield start + first, data[first:end]
            at = lower.find(self._probe, end + 1)

    def _in_line(self, place: _Place, line: bytes) -> Iterator[Hit]:
        record = record_of(line)
        at, session = moment_of(record), str(record.get("sessionId", ""))
        since, until = self._asked.since, self._asked.until
        if (since and at < since) or (until and at >= until):
            return
        if session != (self._filters["session"] or session):
            return
        outputs = self._asked.where == "outputs"
        texts = outputs_of(record) if outputs else (("", text) for text in thoughts_of(record))
        subagent = record.get("agentId") if record.get("isSidechain") else None
        for call, text in texts:
            if (passage := self._passage(text)) is not None:
                yield Hit(
                    place.offset, call, at, session, None, None, None,
                    "tool" if outputs else "agent", subagent, *passage, place.source,
                )  # fmt: skip

    def _passage(self, text: str) -> tuple[Any, float] | None:
        lower = text.lower()
        places = [lower.find(needle.lower()) for needle in self._wanted]
        if min(places) < 0 or any(needle in lower for needle in self._unwanted):
            return None
        begin = max(0, min(places) - BEFORE)
        return marked_places(text[begin : begin + AROUND], self._wanted)

    def placed(self, hits: Sequence[Hit]) -> Iterator[Hit]:
        """The same hits with what the log knows about their sessions and calls."""
        asked = {**self._filters, "uuids": [hit.session for hit in hits]}
        known = {row[0]: row[1:] for row in self._reader.rows(_SESSIONS, asked)} if hits else {}
        calls = [[hit.session for hit in hits if hit.call], [hit.call for hit in hits if hit.call]]
        tools: dict[str, str] = dict(self._reader.rows(_TOOLS, calls)) if calls[0] else {}
        for hit in hits:
            if hit.session in known or self._filters["projects"] is None:
                agent_id, project, host = known.get(hit.session, (None, None, None))
                actor = tools.get(hit.call, hit.actor)
                yield replace(hit, agent_id=agent_id, project=project, host=host, actor=actor)
