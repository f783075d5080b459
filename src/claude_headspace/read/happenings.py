"""What happened, newest first: the log's events by their human names, calls and results between.

Read in stretches of time from the newest back, each whole before the next, until a page is full.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from claude_headspace.read.buckets import Buckets
from claude_headspace.read.connection import Reader
from claude_headspace.read.paging import (
    PAGE_ROWS,
    Cursor,
    Limit,
    Moment,
    Page,
    page_of,
    read_cursor,
)
from claude_headspace.read.selection import find_session
from claude_headspace.read.tools import has_projections

KINDS = (
    "prompt", "answer", "tool call", "tool result", "tool failed", "declined", "interrupted",
    "question", "plan", "hook", "session started", "session ended", "other",
)  # fmt: skip
CALL_KINDS = frozenset(KINDS[2:9])
ACTORS = ("you", "Claude", "subagent", "system")
FIRST_STRETCH = timedelta(hours=1)
GROWTH = 12
_SHOWN = 400

_EVENTS = f"""
SELECT 'e' || lpad(e.id::text, 19, '0') AS key, e.timestamp AS at,
 CASE WHEN e.event_type = 'turn_detected' THEN CASE WHEN e.payload->>'actor' = 'user'
  THEN 'prompt' ELSE 'answer' END WHEN e.event_type = 'hook_received' THEN 'hook'
  WHEN e.event_type = 'session_registered' THEN 'session started'
  WHEN e.event_type = 'session_ended' THEN 'session ended' ELSE 'other' END AS kind,
 CASE WHEN e.event_type <> 'turn_detected' THEN 'system'
  WHEN e.payload->>'actor' = 'user' THEN 'you'
  WHEN e.payload->>'subagent_id' IS NOT NULL THEN 'subagent' ELSE 'Claude' END AS actor,
 CASE WHEN e.event_type = 'turn_detected' THEN left(e.payload->>'text', {_SHOWN})
  WHEN e.event_type = 'hook_received' THEN concat_ws(' ', e.payload->>'hook_type',
   e.payload->>'tool_name', e.payload->>'notification_type', e.payload->>'message',
   e.payload->>'source', e.payload->>'reason')
  WHEN e.event_type = 'session_ended' THEN e.payload->>'reason'
  WHEN e.event_type = 'session_registered' THEN e.payload->>'working_directory'
  ELSE concat_ws(' ', e.event_type, left(e.payload::text, {_SHOWN})) END AS text,
 e.agent_id, e.session_uuid, e.id AS event_id, NULL::text AS tool, NULL::text AS call_id,
 NULL::float8 AS seconds, NULL::int AS size
FROM events e WHERE e.retracted_at IS NULL AND e.timestamp >= %(lo)s AND e.timestamp < %(hi)s
"""
_CALL_ROWS = """
SELECT '{letter}' || c.session_uuid || c.tool_use_id AS key, c.{column} AS at, {kind} AS kind,
 {actor} AS actor, c.input AS text, a.id AS agent_id, c.session_uuid, NULL::bigint AS event_id,
 c.tool, c.tool_use_id AS call_id, extract(epoch FROM c.ended_at - c.started_at)::float8 AS seconds,
 c.result_bytes AS size
FROM agents a JOIN tool_calls c ON c.session_uuid = a.session_uuid
WHERE a.last_seen_at >= %(lo)s - interval '1 minute'
 AND coalesce(a.started_at, a.last_seen_at) < %(hi)s
 AND c.{column} >= %(lo)s AND c.{column} < %(hi)s
"""
_BY_CLAUDE = "CASE WHEN c.subagent IS NULL THEN 'Claude' ELSE 'subagent' END"
_CALLS = _CALL_ROWS.format(
    letter="c", column="started_at", actor=_BY_CLAUDE,
    kind="CASE c.tool WHEN 'AskUserQuestion' THEN 'question' WHEN 'ExitPlanMode' THEN 'plan'"
    " ELSE 'tool call' END",
)  # fmt: skip
_RESULTS = _CALL_ROWS.format(
    letter="r", column="ended_at",
    actor=f"CASE WHEN c.outcome IN ('denied', 'interrupted') THEN 'you' ELSE {_BY_CLAUDE} END",
    kind="CASE c.outcome WHEN 'error' THEN 'tool failed' WHEN 'denied' THEN 'declined'"
    " WHEN 'interrupted' THEN 'interrupted' ELSE 'tool result' END",
)  # fmt: skip
_FROM = (
    " FROM ({union}) h LEFT JOIN agents s ON s.id = h.agent_id"
    " LEFT JOIN places p ON p.id = s.project_id WHERE {conditions}"
)


@dataclass(frozen=True, slots=True)
class HappeningQuestion:
    """What happened; what is empty does not matter. `log`: the log's own events alone."""

    q: str = ""
    type: tuple[str, ...] = ()
    actor: tuple[str, ...] = ()
    project: tuple[str, ...] = ()
    host: tuple[str, ...] = ()
    session: str = ""
    since: Moment | None = None
    until: Moment | None = None
    log: bool = False
    cursor: Cursor | None = None
    limit: Limit = PAGE_ROWS


@dataclass(frozen=True, slots=True)
class Happening:
    """One row; of a call or its result `text` is the JSON that it was given."""

    key: str
    at: datetime
    kind: str
    actor: str
    text: str
    agent_id: int | None
    session: str
    event_id: int | None
    tool: str | None
    call_id: str | None
    seconds: float | None
    size: int | None
    project: str | None
    directory: str | None
    host: str | None


_COLUMNS = (
    "h.key, h.at, h.kind, h.actor, h.text, h.agent_id, h.session_uuid::text, h.event_id, h.tool,"
    " h.call_id, h.seconds, h.size, p.path, s.working_directory, p.host"
)


def list_happenings(reader: Reader, asked: HappeningQuestion) -> Page[Happening]:
    """A page, newest first."""
    source, values = _source(reader, asked)
    before = read_cursor(asked.cursor, datetime, str) if asked.cursor else None
    found: list[Happening] = []
    for lo, hi in _stretches(reader, asked, before[0] if before else None):
        more = " AND (h.at, h.key) < (%(at)s, %(key)s)" if before else ""
        found += reader.fetch(
            Happening,
            f"SELECT {_COLUMNS}{source}{more} ORDER BY h.at DESC, h.key DESC LIMIT %(rows)s",
            {
                **values, "lo": lo, "hi": hi, "rows": asked.limit + 1 - len(found),
                "at": before and before[0], "key": before and before[1],
            },
        )  # fmt: skip
        if len(found) > asked.limit:
            break
    return page_of(found, asked.limit, lambda row: (row.at, row.key))


def _stretches(
    reader: Reader, asked: HappeningQuestion, before: datetime | None
) -> Iterator[tuple[datetime, datetime]]:
    """From the newest back, each longer than the one before it, to where the log begins."""
    row = reader.first("SELECT min(timestamp), max(timestamp) FROM events")
    if row is None or row[0] is None:
        return
    instant = timedelta(microseconds=1)
    # Calls come a little before the first and after the last that was said.
    oldest = max(row[0] - timedelta(days=1), asked.since or row[0] - timedelta(days=1))
    newest = min(row[1] + timedelta(days=1), asked.until or row[1] + timedelta(days=1))
    hi = min(newest, before + instant) if before else newest
    span = FIRST_STRETCH + (
        timedelta(days=1) if not before and asked.until is None else timedelta()
    )
    while hi > oldest:
        lo = max(oldest, hi - span)
        yield lo, hi
        hi, span = lo, span * GROWTH


def _source(reader: Reader, asked: HappeningQuestion) -> tuple[str, dict[str, Any]]:
    """FROM and WHERE for what is asked, between %(lo)s and %(hi)s."""
    branches = [_EVENTS] if not asked.type or set(asked.type) - CALL_KINDS else []
    if (
        not asked.log
        and has_projections(reader)
        and (not asked.type or CALL_KINDS & set(asked.type))
    ):
        branches += [_CALLS, _RESULTS]
    conditions, values = ["true"], dict[str, Any]()
    for name, column in (
        ("type", "h.kind"), ("actor", "h.actor"), ("project", "p.path"), ("host", "p.host"),
    ):  # fmt: skip
        if chosen := getattr(asked, name):
            conditions.append(f"{column} = ANY (%({name})s)")
            values[name] = list(chosen)
    if asked.session:
        conditions.append("h.session_uuid = %(session)s::uuid")
        values["session"] = find_session(reader, asked.session).uuid
    for number, word in enumerate(asked.q.split()):
        conditions.append(f"strpos(lower(h.text), %(word{number})s) > 0")
        values[f"word{number}"] = word.lower()
    union = " UNION ALL ".join(branches or [_EVENTS + " AND false"])
    return _FROM.format(union=union, conditions=" AND ".join(conditions)), values


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of a stretch of time: in each part all and those that failed, and by facet."""

    counts: list[int]
    failed: list[int]
    facets: dict[str, dict[str, int]]

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.counts)


FACETS: tuple[Literal["type", "actor", "project", "host"], ...] = (
    "type", "actor", "project", "host",
)  # fmt: skip


def tally(reader: Reader, asked: HappeningQuestion, buckets: Buckets) -> Tally:
    """What happened in a stretch of time, counted; its own filters of time left out."""
    source, values = _source(reader, asked)
    rows = reader.rows(
        "SELECT width_bucket(h.at, %(edges)s::timestamptz[]), h.kind, h.actor, p.path, p.host,"
        f" count(*){source} GROUP BY 1, 2, 3, 4, 5",
        {**values, "edges": list(buckets.edges), "lo": buckets.start, "hi": buckets.end},
    )
    facets: dict[str, dict[str, int]] = {name: {} for name in FACETS}
    for row in rows:
        for name, value in zip(FACETS, row[1:5], strict=True):
            if value is not None:
                facets[name][value] = facets[name].get(value, 0) + row[5]
    return Tally(
        buckets.spread([(row[0], row[5]) for row in rows]),
        buckets.spread([(row[0], row[5]) for row in rows if row[1] == "tool failed"]),
        {name: _sorted(name, counts) for name, counts in facets.items()},
    )


def _sorted(name: str, counts: dict[str, int]) -> dict[str, int]:
    order: Sequence[str] = {"type": KINDS, "actor": ACTORS}.get(name, ())
    if order:
        return {
            value: counts.get(value, 0) for value in order if name == "actor" or value in counts
        }
    return dict(sorted(counts.items(), key=lambda item: -item[1])[:12])
