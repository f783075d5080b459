"""How busy sessions were in the last hour, and their last words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from claude_headspace.read.connection import IS_TURN, Reader

MINUTES = 60
SHOWN_WORDS = 400
_MINUTES = (
    "SELECT agent_id, floor(extract(epoch FROM timestamp - %(start)s) / 60)::int, count(*),"
    " bool_or(payload->>'actor' = 'user') FROM events WHERE agent_id = ANY (%(agents)s)"
    " AND timestamp >= %(start)s AND timestamp < %(end)s AND retracted_at IS NULL GROUP BY 1, 2"
    " UNION ALL SELECT a.id, floor(extract(epoch FROM c.started_at - %(start)s) / 60)::int,"
    " count(*), false FROM tool_calls c JOIN agents a ON a.session_uuid = c.session_uuid"
    " WHERE a.id = ANY (%(agents)s) AND c.started_at >= %(start)s AND c.started_at < %(end)s"
    " GROUP BY 1, 2"
)
_LAST_WORDS = (
    "SELECT a.id, (SELECT left(e.payload->>'text', %s) FROM events e WHERE e.agent_id = a.id"
    f" AND {IS_TURN} AND e.retracted_at IS NULL"
    " AND e.payload->>'actor' = 'agent' AND e.payload->>'subagent_id' IS NULL"
    " ORDER BY e.agent_id DESC, e.id DESC LIMIT 1) FROM agents a WHERE a.id = ANY (%s)"
)


@dataclass(frozen=True, slots=True)
class Pulse:
    """Events in each of the last sixty minutes, and the minutes of prompts."""

    counts: tuple[int, ...]
    prompts: frozenset[int]

    @property
    def told(self) -> str:
        """The same in words, for screen readers."""
        busy = [number for number, count in enumerate(self.counts) if count]
        if not busy:
            return "silent for an hour"
        silent = MINUTES - 1 - busy[-1]
        return f"busy in {len(busy)} of the last 60 minutes" + (
            f", silent for {silent}" if silent else ""
        )

    @property
    def bars(self) -> list[tuple[int, int]]:
        """(minute, height of 1 to 18) of the minutes that were not silent."""
        most = max(self.counts, default=0)
        return [(n, max(3, round(18 * c / most))) for n, c in enumerate(self.counts) if c]


def pulses_of(reader: Reader, agent_ids: Sequence[int], now: datetime) -> dict[int, Pulse]:
    """The last hour of each of these sessions."""
    if not agent_ids:
        return {}
    asked = {"agents": list(agent_ids), "start": now - timedelta(minutes=MINUTES), "end": now}
    counts = defaultdict[int, list[int]](lambda: [0] * MINUTES)
    prompts = defaultdict[int, set[int]](set)
    for agent_id, minute, count, prompted in reader.rows(_MINUTES, asked):
        if minute < MINUTES:
            counts[agent_id][minute] += count
            if prompted:
                prompts[agent_id].add(minute)
    return {
        agent_id: Pulse(tuple(found), frozenset(prompts[agent_id]))
        for agent_id, found in counts.items()
    }


def last_words(reader: Reader, agent_ids: Sequence[int]) -> dict[int, str]:
    """Claude's last words in each of these sessions."""
    if not agent_ids:
        return {}
    rows = reader.rows(_LAST_WORDS, [SHOWN_WORDS, list(agent_ids)])
    return {row[0]: row[1] for row in rows if row[1]}
