"""The machines of the log, and how far each has read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from claude_headspace.read.connection import Reader
from claude_headspace.read.paging import Page, Paged, page_of, read_cursor
from claude_headspace.store.leases import HELD_LEASES, LEASE_KEY

_LEASE = LEASE_KEY.format(machine="id")
# The backlog of a machine that is not alive dates from when it was last seen.
HOSTS = f"""
WITH known AS (SELECT *, {_LEASE} IN ({HELD_LEASES}) AS alive FROM machines),
read AS (SELECT machine, sum(committed_offset)::bigint AS bytes FROM checkpoints GROUP BY machine),
met AS (SELECT machine, count(*) AS sessions, count(*) FILTER (WHERE ended_at IS NULL) AS open
    FROM agents JOIN projects p ON p.id = project_id GROUP BY machine)
SELECT label AS host, m.id::text AS machine, alive, version, seen_at, backlog_bytes,
    greatest(0, extract(epoch FROM CASE WHEN alive THEN clock_timestamp() ELSE seen_at END
        - behind_since))::float8 AS lag_seconds,
    coalesce(sessions, 0) AS sessions, coalesce(open, 0) AS open_sessions,
    coalesce(bytes, 0) AS bytes
FROM known m LEFT JOIN read ON read.machine = m.id LEFT JOIN met ON met.machine = m.id
ORDER BY alive DESC, label, m.id
"""


class HostQuestion(Paged, frozen=True):
    """A query for all machines, in pages."""


@dataclass(frozen=True, slots=True)
class Host:
    """One machine. `alive`: its watcher holds the lease. `bytes`: how much was read.

    `lag_seconds`: how long the oldest of `backlog_bytes` has waited.
    """

    host: str
    machine: str
    alive: bool
    version: str | None
    seen_at: datetime | None
    backlog_bytes: int
    lag_seconds: float
    sessions: int
    open_sessions: int
    bytes: int


def list_hosts(reader: Reader, asked: HostQuestion) -> Page[Host]:
    """A page; live machines first."""
    skip = read_cursor(asked.cursor, int)[0] if asked.cursor else 0
    rows = reader.fetch(Host, f"{HOSTS} OFFSET %s LIMIT %s", (skip, asked.limit + 1))
    return page_of(rows, asked.limit, lambda _: (skip + asked.limit,))
