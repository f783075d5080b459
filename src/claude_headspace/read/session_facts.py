"""What is known about sessions: the latest facts, and counts; cached until their next line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from claude_headspace.read.connection import IS_TURN, Reader
from claude_headspace.read.state import LastFacts
from claude_headspace.read.tools import open_calls

MOST_KEPT = 5000

Key = TypeVar("Key")
Value = TypeVar("Value")


class LineCache(Generic[Key, Value]):
    """Values by keys that contain the time of the session's last line."""

    def __init__(self, most: int = MOST_KEPT) -> None:
        self._most = most
        self._known: dict[Key, Value] = {}

    def of(
        self, keys: Sequence[Key], read: Callable[[list[Key]], Mapping[Key, Value]]
    ) -> dict[Key, Value]:
        """The value of each key; `read` returns those that are not known."""
        known = {key: self._known[key] for key in keys if key in self._known}
        new = [key for key in keys if key not in known]
        fresh = read(new) if new else {}
        if len(self._known) > self._most:
            self._known = {}
        self._known.update(fresh)
        return {**known, **fresh}


# Changes with every line or event of a session: then its facts are read again.
_AGE = (
    "SELECT a.id, a.last_seen_at, a.ended_at,"
    " (SELECT max(e.id) FROM events e WHERE e.agent_id = a.id) FROM agents a WHERE "
)
# From the end of a session backwards to its last prompt, and forward from there.
_FACTS = f"""
SELECT a.id, a.last_seen_at, a.ended_at, a.end_reason, a.started_at, prompt.timestamp,
 later.answered_at, reply.ended_at, reply.stop_reason, later.over_at, (SELECT max(c.ended_at)
  FROM tool_calls c WHERE c.session_uuid = a.session_uuid AND c.subagent IS NULL
  AND c.outcome = 'interrupted'), later.notified_at, told.kind, told.message
FROM agents a
LEFT JOIN LATERAL (SELECT e.id, e.timestamp FROM events e WHERE e.agent_id = a.id
 AND {IS_TURN} AND e.retracted_at IS NULL AND e.payload->>'actor' = 'user'
 ORDER BY e.agent_id DESC, e.id DESC LIMIT 1) prompt ON true
LEFT JOIN LATERAL (SELECT
 max(e.timestamp) FILTER (WHERE e.event_type = 'turn_detected'
  AND e.payload->>'subagent_id' IS NULL) AS answered_at,
 max(e.timestamp) FILTER (WHERE e.payload->>'hook_type' IN ('Stop', 'StopFailure')) AS over_at,
 max(e.timestamp) FILTER (WHERE e.payload->>'hook_type' = 'Notification') AS notified_at
 FROM events e WHERE e.agent_id = a.id AND e.id > coalesce(prompt.id, 0)
 AND e.retracted_at IS NULL) later ON true
LEFT JOIN LATERAL (SELECT e.payload->>'notification_type' AS kind, e.payload->>'message' AS message
 FROM events e WHERE e.agent_id = a.id AND e.id > coalesce(prompt.id, 0)
 AND e.payload->>'hook_type' = 'Notification' AND e.timestamp = later.notified_at
 LIMIT 1) told ON later.notified_at IS NOT NULL
LEFT JOIN LATERAL (SELECT m.ended_at, m.stop_reason FROM model_calls m
 WHERE m.session_uuid = a.session_uuid AND m.subagent IS NULL
 ORDER BY m.ended_at DESC LIMIT 1) reply ON true
WHERE a.id = ANY (%s)
"""


def facts_of(reader: Reader, agent_ids: Sequence[int]) -> dict[int, LastFacts]:
    """The latest facts about each of these sessions."""
    return _facts(reader, "a.id = ANY (%s)", [list(agent_ids)]) if agent_ids else {}


def facts_of_alive(reader: Reader) -> dict[int, LastFacts]:
    """The same for all sessions that have not ended."""
    return _facts(reader, "a.ended_at IS NULL", ())


_known_facts = LineCache[tuple[Any, ...], LastFacts]()


def _facts(reader: Reader, which: str, values: Sequence[Any]) -> dict[int, LastFacts]:
    ages = reader.rows(_AGE + which, values)
    found = _known_facts.of(ages, lambda new: _read_facts(reader, new))
    return {age[0]: facts for age, facts in found.items()}


def _read_facts(reader: Reader, new: Sequence[tuple[Any, ...]]) -> dict[tuple[Any, ...], LastFacts]:
    ages = {age[0]: age for age in new}
    calls, found = open_calls(reader, list(ages)), {}
    for agent_id, *columns in reader.rows(_FACTS, [list(ages)]):
        facts = LastFacts(*columns)
        begun, waiting = facts.prompted_at, calls.get(agent_id, ())
        later = tuple(call for call in waiting if begun is None or call.since >= begun)
        found[ages[agent_id]] = replace(facts, open_calls=later)
    return found


class CountedSession(NamedTuple):
    """A session, as it was when it was counted."""

    id: int
    uuid: str
    last_line_at: datetime | None


class SessionTotals(Struct, frozen=True):
    """What was done in a session; None if it is unknown."""

    prompts: int = 0
    turns: int = 0
    calls: int | None = None
    failed: int | None = None
    tokens_out: int | None = None
    lines: int | None = None
    lines_lost: int = 0


_TOTALS = f"""
SELECT a.id, coalesce(said.prompts, 0), coalesce(said.turns, 0), called.number, called.failed,
 spent.tokens, written.lines, coalesce(written.lost, 0)
FROM agents a
LEFT JOIN (SELECT agent_id, count(*) FILTER (WHERE payload->>'actor' = 'user') AS prompts,
 count(*) AS turns FROM events WHERE agent_id = ANY (%(ids)s) AND {IS_TURN}
 AND retracted_at IS NULL GROUP BY agent_id) said ON said.agent_id = a.id
LEFT JOIN (SELECT session, sum((counts->>'lines')::bigint)::bigint AS lines,
 sum(coalesce((SELECT sum(value::bigint) FROM jsonb_each_text(counts->'rejected')), 0))::bigint
 AS lost FROM checkpoints, unnest(sessions) AS session WHERE sessions && %(uuids)s::uuid[]
 AND session = ANY (%(uuids)s::uuid[]) GROUP BY 1) written ON written.session = a.session_uuid,
LATERAL (SELECT count(*) AS number, count(*) FILTER (WHERE outcome = 'error') AS failed
 FROM tool_calls WHERE session_uuid = a.session_uuid) called,
LATERAL (SELECT coalesce(sum(output_tokens), 0)::bigint AS tokens
 FROM model_calls WHERE session_uuid = a.session_uuid) spent
WHERE a.id = ANY (%(ids)s)
"""
_TOGETHER = (
    "SELECT agent_id, count(*), count(DISTINCT event_key) FROM events WHERE agent_id = ANY (%s)"
    f" AND {IS_TURN} AND retracted_at IS NULL GROUP BY GROUPING SETS ((agent_id), ())"
)
_known_totals = LineCache[CountedSession, SessionTotals]()


def count_totals(
    reader: Reader, sessions: Sequence[CountedSession]
) -> dict[CountedSession, SessionTotals]:
    """What was done in each of these sessions."""

    def read(new: Sequence[CountedSession]) -> dict[CountedSession, SessionTotals]:
        by_id = {each.id: each for each in new}
        asked = {"ids": list(by_id), "uuids": [each.uuid for each in new]}
        rows = reader.rows(_TOTALS, asked)
        return {by_id[agent_id]: SessionTotals(*totals) for agent_id, *totals in rows}

    return _known_totals.of(sessions, read)


def count_turns(reader: Reader, agent_ids: Sequence[int]) -> tuple[dict[int, int], int]:
    """Turns of each of these sessions, and of all; there a turn in several of them counts once."""
    rows = reader.rows(_TOGETHER, [list(agent_ids)])
    each = {row[0]: row[1] for row in rows if row[0] is not None}
    return each, next(row[2] for row in rows if row[0] is None)
