"""The latest facts about sessions, from which their state is derived."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from claude_headspace.read.connection import IS_TURN, Reader
from claude_headspace.read.state import LastFacts
from claude_headspace.read.tools import last_replies, open_calls

# From the end of a session backwards to its last prompt, and forward from there.
_FACTS = f"""
SELECT a.id, a.last_seen_at, a.ended_at, a.end_reason, a.started_at, prompt.timestamp,
 later.answered_at, later.over_at, later.notified_at, told.kind, told.message
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
WHERE a.id = ANY (%s)
"""


# Changes with every line or event of a session: then its facts are read again.
_AGE = (
    "SELECT a.id, a.session_uuid::text, a.last_seen_at, a.ended_at,"
    " (SELECT max(e.id) FROM events e WHERE e.agent_id = a.id) FROM agents a WHERE "
)
MOST_KEPT = 2000


class KnownFacts:
    """A cache of facts about sessions, valid until they change."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[tuple[Any, ...], LastFacts]] = {}

    def of(self, reader: Reader, agent_ids: Sequence[int]) -> dict[int, LastFacts]:
        """The latest facts about each of these sessions."""
        return self._of(reader, "a.id = ANY (%s)", [list(agent_ids)]) if agent_ids else {}

    def of_alive(self, reader: Reader) -> dict[int, LastFacts]:
        """The same for all sessions that have not ended."""
        return self._of(reader, "a.ended_at IS NULL", ())

    def _of(self, reader: Reader, which: str, values: Sequence[Any]) -> dict[int, LastFacts]:
        ages = {row[0]: tuple(row) for row in reader.rows(_AGE + which, values)}
        known = {
            agent: kept[1]
            for agent, age in ages.items()
            if (kept := self._known.get(agent)) is not None and kept[0] == age
        }
        fresh = _read(reader, [agent for agent in ages if agent not in known])
        if len(self._known) > MOST_KEPT:
            self._known.clear()
        self._known.update({agent: (ages[agent], facts) for agent, facts in fresh.items()})
        return known | fresh


_known = KnownFacts()
facts_of, facts_of_alive = _known.of, _known.of_alive


def _read(reader: Reader, ids: Sequence[int]) -> dict[int, LastFacts]:
    if not ids:
        return {}
    ids = list(ids)
    calls, replies = open_calls(reader, ids), last_replies(reader, ids)
    return {
        row[0]: LastFacts(
            last_line_at=row[1], ended_at=row[2], end_reason=row[3], started_at=row[4],
            prompted_at=row[5], answered_at=row[6], over_at=row[7], notified_at=row[8],
            notification=row[9], message=row[10],
            open_calls=tuple(
                call for call in calls.get(row[0], ()) if row[5] is None or call.since >= row[5]
            ),
            **replies.get(row[0], {}),
        )
        for row in reader.rows(_FACTS, [ids])
    }  # fmt: skip
