"""What happened, newest first: the log's events by their human names, calls and results between.

Read in stretches of time from the newest back, each whole before the next, until a page is full,
or for so long: what is rare is looked for further back by the next page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from claude_headspace.errors import QuestionTooLong
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
    write_cursor,
)
from claude_headspace.read.selection import find_session
from claude_headspace.read.stretches import stretches_of

KINDS = (
    "prompt", "answer", "tool call", "tool result", "tool failed", "declined", "interrupted",
    "question", "plan", "hook", "session started", "session ended", "other",
)  # fmt: skip
CALL_KINDS = frozenset(KINDS[2:9])
ACTORS = ("you", "Claude", "subagent", "system")
COUNT_SECONDS = 0.5
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
 AND (%(projects)s::int[] IS NULL OR e.project_id = ANY (%(projects)s))
 AND (%(session)s::uuid IS NULL OR e.session_uuid = %(session)s)
 AND (%(agent)s::int IS NULL OR e.agent_id = %(agent)s)
"""
_CALL_ROWS = """
SELECT '{letter}' || c.session_uuid || c.tool_use_id AS key, c.{column} AS at, {kind} AS kind,
 {actor} AS actor, c.input AS text, a.id AS agent_id, c.session_uuid, NULL::bigint AS event_id,
 c.tool, c.tool_use_id AS call_id, extract(epoch FROM c.ended_at - c.started_at)::float8 AS seconds,
 c.result_bytes AS size
FROM tool_calls c JOIN agents a ON a.session_uuid = c.session_uuid
WHERE c.{column} >= %(lo)s AND c.{column} < %(hi)s
 AND (%(projects)s::int[] IS NULL OR a.project_id = ANY (%(projects)s))
 AND (%(session)s::uuid IS NULL OR c.session_uuid = %(session)s)
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
    " LEFT JOIN projects p ON p.id = s.project_id WHERE {conditions}"
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
    """A page, newest first; one that is not full may have a next all the same."""
    source, values = _source(reader, asked)
    before = read_cursor(asked.cursor, datetime, str) if asked.cursor else None
    more = " AND (h.at, h.key) < (%(at)s, %(key)s)" if before else ""
    values["at"], values["key"] = before or (None, None)
    statement = f"SELECT {_COLUMNS}{source}{more} ORDER BY h.at DESC, h.key DESC LIMIT %(rows)s"
    found: list[Happening] = []
    stretches = stretches_of(
        reader, asked.since, asked.until, before and before[0], whole=bool(asked.session)
    )
    for lo, hi in stretches:
        rows = {"lo": lo, "hi": hi, "rows": asked.limit + 1 - len(found)}
        found += [Happening(*row) for row in stretches.rows(reader, statement, {**values, **rows})]
        if len(found) > asked.limit:
            break
    page = page_of(found, asked.limit, lambda row: (row.at, row.key))
    if page.next or not stretches.unfinished:
        return page
    return Page(page.rows, write_cursor((stretches.reached, "")))


def _source(reader: Reader, asked: HappeningQuestion) -> tuple[str, dict[str, Any]]:
    """FROM and WHERE for what is asked, between %(lo)s and %(hi)s."""
    kinds = set(asked.type)
    branches = [_EVENTS] if not kinds or kinds - CALL_KINDS else []
    if not asked.log and (not kinds or CALL_KINDS & kinds):
        branches += [_CALLS, _RESULTS]
    conditions = ["true"]
    values: dict[str, Any] = {"projects": None, "session": None, "agent": None}
    for name, column in (("type", "h.kind"), ("actor", "h.actor")):
        if chosen := getattr(asked, name):
            conditions.append(f"{column} = ANY (%({name})s)")
            values[name] = list(chosen)
    if asked.project or asked.host:
        places = {"path": list(asked.project), "host": list(asked.host)}
        values["projects"] = [row[0] for row in reader.rows(_PROJECTS, places)]
    if asked.session:
        session = find_session(reader, asked.session)
        values["session"], values["agent"] = session.uuid, session.agent_id
    for number, word in enumerate(asked.q.split()):
        conditions.append(f"strpos(lower(h.text), %(word{number})s) > 0")
        values[f"word{number}"] = word.lower()
    union = " UNION ALL ".join(branches or [_EVENTS + " AND false"])
    return _FROM.format(union=union, conditions=" AND ".join(conditions)), values


# Nothing chosen is all of them.
_PROJECTS = (
    "SELECT id FROM projects WHERE (%(path)s = '{}' OR path = ANY (%(path)s))"
    " AND (%(host)s = '{}' OR host = ANY (%(host)s))"
)


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


def tally(reader: Reader, asked: HappeningQuestion, buckets: Buckets) -> Tally | None:
    """What happened in a stretch of time, counted; its own filters of time left out.

    None where that takes too long.
    """
    source, values = _source(reader, asked)
    try:
        rows = reader.rows(
            "SELECT width_bucket(h.at, %(edges)s::timestamptz[]), h.kind, h.actor, p.path, p.host,"
            f" count(*){source} GROUP BY 1, 2, 3, 4, 5",
            {**values, "edges": list(buckets.edges), "lo": buckets.start, "hi": buckets.end},
            COUNT_SECONDS,
        )
    except QuestionTooLong:
        return None
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
