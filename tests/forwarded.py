"""What two logs must both hold, once one was forwarded to the other."""

from __future__ import annotations

from collections.abc import Sequence

from claude_headspace.forwarding.pushed_tables import TABLES, PushedTable
from faults.machine import query

# What differs by its nature: ids of either log, and when either wrote or was seen.
_OWN = {"id", "recorded_at", "command_id", "turn_id"}
_SEEN = {"seen_at", "behind_since", "backlog_bytes"}


def held(url: str, table: PushedTable) -> list[str]:
    """The rows of a table as both logs must have them, in the order of their keys."""
    hidden = _OWN - set(table.key) | set(table.refers) | _SEEN
    rows = query(url, f"SELECT (to_jsonb(t) - %s::text[])::text FROM {table.name} t", ([*hidden],))
    return sorted(row[0] for row in rows)


def assert_same(local: str | Sequence[str], central: str) -> None:
    """All that the local logs hold, and nothing else."""
    logs = [local] if isinstance(local, str) else local
    for table in TABLES:
        assert held(central, table) == sorted(row for log in logs for row in held(log, table)), (
            table.name
        )


def order(url: str, session: str | None = None) -> list[tuple[str, ...]]:
    """The events, or those of one session, in the order of the log."""
    return query(
        url,
        "SELECT event_key::text, session_uuid::text FROM events"
        " WHERE coalesce(session_uuid = %s::uuid, true) ORDER BY id",
        (session,),
    )
