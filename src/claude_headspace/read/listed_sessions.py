"""Sessions and turns as flat rows for programs; the names of their fields are stable."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from claude_headspace.errors import SelectionError
from claude_headspace.read import sessions
from claude_headspace.read.connection import IS_TURN, Reader
from claude_headspace.read.paging import (
    PAGE_ROWS,
    Cursor,
    Limit,
    Page,
    page_of,
    read_cursor,
)
from claude_headspace.read.selection import SessionNamed, find_session
from claude_headspace.read.state import Kind

Name = Annotated[str, Meta(description="uuid, or the start of it")]
Path = Annotated[str, Meta(description="path, or the end of it")]


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


def list_sessions(reader: Reader, asked: sessions.SessionQuestion) -> Page[ListedSession]:
    """A page; the session with the newest line comes first."""
    page = sessions.list_sessions(reader, asked)
    return Page(tuple(map(listed, page.rows)), page.next)


def one_listed_session(reader: Reader, name: str) -> ListedSession | None:
    """The session of this name."""
    found = find_session(reader, name)
    if found.agent_id is None:
        return None
    rows = sessions.find_sessions(reader, [found.agent_id], datetime.now(UTC))
    return listed(sessions.with_done(reader, list(rows.values()))[0])


def listed(each: sessions.Session) -> ListedSession:
    """The session as a flat row."""
    state, done = each.state, each.done
    return ListedSession(
        each.uuid, each.title, each.project, each.host, each.directory, each.started_at,
        each.last_line_at, each.ended_at, each.end_reason, each.forked_from,
        state.kind, state.since, state.reason,
        done.prompts, done.turns, done.calls, done.failed, done.tokens_out, done.lines,
        done.lines_lost, each.resume,
    )  # fmt: skip


class TurnQuestion(Struct, frozen=True):
    """A query for the turns of one session."""

    session: Name
    actor: Literal["user", "agent"] | None = None
    cursor: Cursor | None = None
    limit: Limit = PAGE_ROWS


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
    values = {
        "agent": _known(reader, asked.session).agent_id,
        "after": read_cursor(asked.cursor, int)[0] if asked.cursor else 0,
        "actor": asked.actor,
        "rows": asked.limit + 1,
    }
    return page_of(reader.fetch(ListedTurn, _TURNS, values), asked.limit, lambda turn: (turn.id,))


def _known(reader: Reader, name: str) -> SessionNamed:
    found = find_session(reader, name)
    if found.agent_id is None:
        raise SelectionError(f"the log has no session {name}")
    return found
