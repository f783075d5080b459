"""What happened, newest first: events under readable names, with tool calls and results.

Reads stretches of time from the newest back, each completely before the next, until a page is
full or the time is up; the next page continues further back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from claude_headspace.errors import QuestionTooLong
from claude_headspace.read.buckets import Buckets
from claude_headspace.read.connection import Reader
from claude_headspace.read.events import ListedEvent
from claude_headspace.read.paging import Page, Timed, read_cursor
from claude_headspace.read.selection import find_session
from claude_headspace.read.stretches import stretches_of

COUNT_SECONDS = 2.0
FACETS = ("type", "actor", "project", "host")
KINDS = (
    "prompt", "answer", "tool call", "tool result", "tool failed", "declined", "interrupted",
    "question", "plan", "hook", "session started", "session ended", "other",
)  # fmt: skip
_CALL_KINDS = frozenset(KINDS[2:9])
ACTORS = ("you", "Claude", "subagent", "system")
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
 e.session_uuid, e.id AS event_id, NULL::text AS tool, NULL::text AS call_id,
 NULL::float8 AS seconds, NULL::int AS size
FROM events e WHERE (%(retracted)s OR e.retracted_at IS NULL)
 AND e.timestamp >= %(lo)s AND e.timestamp < %(hi)s
 AND (%(projects)s::int[] IS NULL OR e.project_id = ANY (%(projects)s))
 AND (%(session)s::uuid IS NULL OR e.session_uuid = %(session)s)
 AND (%(agent)s::int IS NULL OR e.agent_id = %(agent)s)
"""
_OF_CALLS = """
SELECT '{letter}' || c.session_uuid || c.tool_use_id AS key, c.{column} AS at, {kind} AS kind,
 {actor} AS actor, c.input AS text, c.session_uuid, NULL::bigint AS event_id,
 c.tool, c.tool_use_id AS call_id, extract(epoch FROM c.ended_at - c.started_at)::float8 AS seconds,
 c.result_bytes AS size
FROM tool_calls c {{sessions}} WHERE c.{column} >= %(lo)s AND c.{column} < %(hi)s
 AND (%(session)s::uuid IS NULL OR c.session_uuid = %(session)s)
"""
_ANY_PLACE = {"projects": None, "session": None, "agent": None}
_BY_CLAUDE = "CASE WHEN c.subagent IS NULL THEN 'Claude' ELSE 'subagent' END"
_CALLS = _OF_CALLS.format(
    letter="c", column="started_at", actor=_BY_CLAUDE,
    kind="CASE c.tool WHEN 'AskUserQuestion' THEN 'question' WHEN 'ExitPlanMode' THEN 'plan'"
    " ELSE 'tool call' END",
)  # fmt: skip
_RESULTS = _OF_CALLS.format(
    letter="r", column="ended_at",
    actor=f"CASE WHEN c.outcome IN ('denied', 'interrupted') THEN 'you' ELSE {_BY_CLAUDE} END",
    kind="CASE c.outcome WHEN 'error' THEN 'tool failed' WHEN 'denied' THEN 'declined'"
    " WHEN 'interrupted' THEN 'interrupted' ELSE 'tool result' END",
)  # fmt: skip
_OF_PROJECTS = (
    "JOIN agents a ON a.session_uuid = c.session_uuid AND a.project_id = ANY (%(projects)s)"
)
# Joined last, when few rows are left; LIMIT keeps the planner from reading all sessions.
_PLACED = (
    " h LEFT JOIN LATERAL (SELECT id, project_id, working_directory FROM agents a"
    " WHERE a.session_uuid = h.session_uuid LIMIT 1) s ON true"
    " LEFT JOIN places p ON p.id = s.project_id"
)


class HappeningQuestion(Timed, frozen=True):
    """A filter of happenings; empty means any. `log`: only events of the log.

    A value that begins with "-" is excluded.
    """

    q: str = ""
    type: tuple[str, ...] = ()
    actor: tuple[str, ...] = ()
    project: tuple[str, ...] = ()
    host: tuple[str, ...] = ()
    session: str = ""
    log: bool = False


@dataclass(frozen=True, slots=True)
class Happening:
    """One row; for a call or its result, `text` is the JSON of its input."""

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
    "h.key, h.at, h.kind, h.actor, h.text, s.id, h.session_uuid::text, h.event_id, h.tool,"
    " h.call_id, h.seconds, h.size, p.path, s.working_directory, p.host"
)


def list_happenings(reader: Reader, asked: HappeningQuestion) -> Page[Happening]:
    """A page, newest first; a page that is not full may still have a next one."""
    branches, conditions, values = _source(reader, asked)
    values |= {"since": asked.since, "until": asked.until, "at": None, "key": None}
    if asked.cursor:
        values["at"], values["key"] = read_cursor(asked.cursor, datetime, str)
        conditions += " AND (h.at, h.key) < (%(at)s, %(key)s)"
    newest = "ORDER BY h.at DESC, h.key DESC LIMIT %(rows)s"
    parts = [f"(SELECT * FROM ({each}) h WHERE {conditions} {newest})" for each in branches]
    page = f"SELECT * FROM ({' UNION ALL '.join(parts)}) h {newest}"
    statement = f"SELECT {_COLUMNS} FROM ({page}){_PLACED} ORDER BY h.at DESC, h.key DESC"
    # Without filters the indexes have the order of the page, so that a page is found at once.
    whole = bool(asked.session) or not any(getattr(asked, name) for name in ("q", *FACETS))
    found = stretches_of(reader, values, whole=whole)
    listed = found.page(
        asked.limit,
        lambda stretch: found.rows(statement, values | stretch),
        lambda row: Happening(*row),
        lambda row: (row.at, row.key),
        least="",
    )
    return Page(listed.rows, listed.next)


def _source(reader: Reader, asked: HappeningQuestion) -> tuple[list[str], str, dict[str, Any]]:
    """Statements about the time from %(lo)s to %(hi)s, conditions for all of them, and values."""
    kinds = set(_apart(asked.type)[0])
    branches = [_EVENTS] if not kinds or kinds - _CALL_KINDS else []
    values: dict[str, Any] = {"retracted": False, **_ANY_PLACE}
    for name in FACETS:
        values[name], values[f"no_{name}"] = _apart(getattr(asked, name))
    conditions = [
        "(%(type)s = '{}' OR h.kind = ANY (%(type)s)) AND h.kind <> ALL (%(no_type)s)",
        "(%(actor)s = '{}' OR h.actor = ANY (%(actor)s)) AND h.actor <> ALL (%(no_actor)s)",
    ]
    if asked.project or asked.host:
        values["projects"] = [row[0] for row in reader.rows(_PROJECTS, values)]
    if not asked.log and (not kinds or _CALL_KINDS & kinds):
        sessions = "" if values["projects"] is None else _OF_PROJECTS
        branches += [each.format(sessions=sessions) for each in (_CALLS, _RESULTS)]
    if asked.session:
        session = find_session(reader, asked.session)
        values["session"], values["agent"] = session.uuid, session.agent_id
    for number, word in enumerate(asked.q.split()):
        conditions.append(f"strpos(lower(h.text), %(word{number})s) > 0")
        values[f"word{number}"] = word.lower()
    return branches or [f"{_EVENTS} AND false"], " AND ".join(conditions), values


def _apart(values: Sequence[str]) -> tuple[list[str], list[str]]:
    """The values to include, and those to exclude."""
    unwanted = [value[1:] for value in values if value.startswith("-")]
    return [value for value in values if not value.startswith("-")], unwanted


# No value means all of them.
_PROJECTS = (
    "SELECT id FROM places WHERE (%(project)s = '{}' OR path = ANY (%(project)s))"
    " AND path <> ALL (%(no_project)s)"
    " AND (%(host)s = '{}' OR host = ANY (%(host)s)) AND host <> ALL (%(no_host)s)"
)


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of a stretch of time: all and failed in each part, and by facet."""

    counts: list[int]
    failed: list[int]
    facets: dict[str, dict[str, int]]


def tally(reader: Reader, asked: HappeningQuestion, buckets: Buckets) -> Tally | None:
    """Counts of what happened in a stretch of time, whatever the filter's own times.

    None if that takes too long.
    """
    branches, conditions, values = _source(reader, asked)
    source = f" FROM ({' UNION ALL '.join(branches)}) h WHERE {conditions}"
    try:
        rows = reader.rows(
            "SELECT part, kind, actor, p.path, p.host, sum(number)::int FROM (SELECT"
            " width_bucket(h.at, %(edges)s::timestamptz[]) AS part, h.kind, h.actor,"
            f" h.session_uuid, count(*) AS number{source} GROUP BY 1, 2, 3, 4){_PLACED}"
            " GROUP BY 1, 2, 3, 4, 5",
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


def kind_and_actor(reader: Reader, event: ListedEvent) -> tuple[str, str]:
    """The kind of an event here, and its actor."""
    row = reader.first(
        f"SELECT kind, actor FROM ({_EVENTS}) h WHERE event_id = %(id)s",
        {
            "id": event.id, "lo": event.timestamp, "hi": event.timestamp + timedelta.resolution,
            "retracted": True, **_ANY_PLACE,
        },
    )  # fmt: skip
    return row[:2] if row else ("other", "system")
