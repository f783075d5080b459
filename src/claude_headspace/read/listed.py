"""Sessions, turns, calls and machines as flat rows for programs; their fields are stable."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from msgspec.structs import astuple

from claude_headspace.errors import SelectionError
from claude_headspace.read import sessions
from claude_headspace.read.connection import IS_TURN, Reader
from claude_headspace.read.paging import Name, Page, Paged, Placed, page_of, read_cursor
from claude_headspace.read.selection import filters_of, filters_on, find_session
from claude_headspace.read.state import Kind
from claude_headspace.store.leases import HELD_LEASES, LEASE_KEY


@dataclass(frozen=True, slots=True)
class ListedSession:
    """One session; `calls`, `failed` and `tokens_out` are None if they are unknown."""

    session: str
    title: str
    project: str
    host: str
    directory: str
    started_at: datetime | None
    last_line_at: datetime | None
    ended_at: datetime | None
    end_reason: str | None
    forked_from: str | None
    state: Kind
    state_since: datetime | None
    state_reason: str
    prompts: int
    turns: int
    calls: int | None
    failed: int | None
    tokens_out: int | None
    lines: int | None
    lines_lost: int
    resume: str


def list_flat_sessions(reader: Reader, asked: sessions.SessionQuestion) -> Page[ListedSession]:
    """A page; the session with the newest line comes first."""
    page = sessions.list_sessions(reader, asked)
    return Page(tuple(map(listed, page.rows)), page.next)


def one_listed_session(reader: Reader, name: str) -> ListedSession:
    """The session of this name."""
    return listed(sessions.session_named(reader, name))


def listed(each: sessions.Session) -> ListedSession:
    """The session as a flat row."""
    _, *identity, state, done = astuple(each)
    since: tuple[Any, ...] = (state.kind, state.since, state.reason, *astuple(done), each.resume)
    return ListedSession(*[*identity, *since])


class TurnQuestion(Paged, frozen=True):
    """A query for the turns of one session."""

    session: Name
    actor: Literal["user", "agent"] | None = None


@dataclass(frozen=True, slots=True)
class ListedTurn:
    """One turn; `copy_of`: the session that it was copied from."""

    id: int
    timestamp: datetime
    actor: str
    text: str
    subagent: str | None
    prompt_source: str | None
    copy_of: str | None
    key: str


_TURNS = (
    "SELECT id, timestamp, payload ->> 'actor', payload ->> 'text', payload ->> 'subagent_id',"
    " payload ->> 'prompt_source', annotations ->> 'copy_of', event_key::text FROM events"
    f" WHERE agent_id = %(agent)s AND id > %(after)s AND {IS_TURN}"
    " AND retracted_at IS NULL AND (%(actor)s::text IS NULL OR payload ->> 'actor' = %(actor)s)"
    " ORDER BY agent_id, id LIMIT %(rows)s"
)


def list_turns(reader: Reader, asked: TurnQuestion) -> Page[ListedTurn]:
    """A page in the order of the log, which is the order of the conversation."""
    agent = find_session(reader, asked.session).agent_id
    if agent is None:
        raise SelectionError(f"the log has no session {asked.session}")
    after = read_cursor(asked.cursor, int)[0] if asked.cursor else 0
    values = {"agent": agent, "after": after, "actor": asked.actor, "rows": asked.limit + 1}
    return page_of(reader.fetch(ListedTurn, _TURNS, values), asked.limit, lambda turn: (turn.id,))


class ToolQuestion(Placed, frozen=True):
    """A filter of tool calls; None or empty means any."""

    session: Name | None = None
    tool: tuple[str, ...] = ()
    outcome: tuple[Literal["ok", "error", "denied", "interrupted", "open"], ...] = ()


@dataclass(frozen=True, slots=True)
class ListedCall:
    """One call; `outcome` is None until it ends. `input` is JSON, cut if it is long."""

    id: str
    session: str
    project: str | None
    host: str | None
    tool: str
    subagent: str | None
    input: str
    input_bytes: int
    input_whole: bool
    started_at: datetime
    ended_at: datetime | None
    seconds: float | None
    outcome: str | None
    result_bytes: int | None


_CALLS = (
    "SELECT tool_use_id, session_uuid::text, project, host, tool, subagent, input, input_bytes,"
    " input_whole, started_at, ended_at, seconds, outcome, result_bytes FROM tool_usage"
    " WHERE (%(tools)s = '{}' OR tool = ANY (%(tools)s))"
    " AND (%(outcomes)s = '{}' OR coalesce(outcome, 'open') = ANY (%(outcomes)s))"
    f" AND {filters_on('started_at', 'tool_use_id', 'session_uuid', 'project_id')}"
    " ORDER BY started_at DESC, tool_use_id DESC LIMIT %(rows)s"
)


def list_calls(reader: Reader, asked: ToolQuestion) -> Page[ListedCall]:
    """A page, newest first; a call that a fork repeats is listed once."""
    chosen = {"tools": list(asked.tool), "outcomes": list(asked.outcome)}
    rows = reader.fetch(ListedCall, _CALLS, filters_of(reader, asked, str) | chosen)
    return page_of(rows, asked.limit, lambda call: (call.started_at, call.id))


_LEASE = LEASE_KEY.format(machine="id")
# The backlog of a machine that is not alive dates from when it was last seen.
_HOSTS = f"""
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
    rows = reader.fetch(Host, f"{_HOSTS} OFFSET %s LIMIT %s", (skip, asked.limit + 1))
    return page_of(rows, asked.limit, lambda _: (skip + asked.limit,))
