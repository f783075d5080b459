"""Lists of sessions with their state and counts; filtered, in pages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import Meta, Struct
from msgspec.structs import replace

from claude_headspace.read.connection import Reader
from claude_headspace.read.paging import (
    PAGE_ROWS,
    Cursor,
    Limit,
    Moment,
    Page,
    Until,
    page_of,
    read_cursor,
)
from claude_headspace.read.session_facts import facts_of, facts_of_alive
from claude_headspace.read.session_totals import CountedSession, SessionTotals, count_totals
from claude_headspace.read.state import Kind, LastFacts, State, derive_state
from claude_headspace.read.titles import GIVEN_TITLE, first_words_of, sessions_having, title_of

_COLUMNS = (
    f"a.id, a.session_uuid::text, {GIVEN_TITLE}, p.path, p.host, a.working_directory, a.started_at,"
    " a.last_seen_at, a.ended_at, a.end_reason, a.forked_from::text"
)
FROM = " FROM agents a JOIN places p ON p.id = a.project_id"
_SORTS = {
    "last": "a.last_seen_at",
    "length": "extract(epoch FROM a.last_seen_at - a.started_at)::float8",
}


class SessionQuestion(Struct, frozen=True):
    """A filter of sessions; empty means any. `q`: words of title or path.

    `since` and `until` select sessions that were alive in between. `sort`: newest or longest first.
    """

    q: Annotated[str, Meta(description="words of its title, project or directory")] = ""
    project: Annotated[tuple[str, ...], Meta(description="one of these paths")] = ()
    host: tuple[str, ...] = ()
    state: tuple[Kind, ...] = ()
    since: Moment | None = None
    until: Until | None = None
    sort: Literal["last", "length"] = "last"
    cursor: Cursor | None = None
    limit: Limit = PAGE_ROWS


class Session(Struct, frozen=True):
    """One session of a list."""

    id: int
    uuid: str
    title: str
    project: str
    host: str
    directory: str
    started_at: datetime | None
    last_line_at: datetime | None
    ended_at: datetime | None
    end_reason: str | None
    forked_from: str | None
    state: State = State("ended", None, "")
    done: SessionTotals = SessionTotals()

    @property
    def seconds(self) -> float | None:
        """From its first line to its last."""
        if self.started_at is None or self.last_line_at is None:
            return None
        return (self.last_line_at - self.started_at).total_seconds()

    @property
    def resume(self) -> str:
        """The command that resumes it."""
        from shlex import quote

        return f"cd {quote(self.directory)} && claude --resume {self.uuid}"


def _session(agent_id: int, uuid: str, words: str, *rest: Any) -> Session:
    return Session(agent_id, uuid, title_of(words), *rest)


def list_sessions(reader: Reader, asked: SessionQuestion) -> Page[Session]:
    """A page of sessions, the newest first."""
    page = list_uncounted(reader, asked)
    return Page(tuple(with_done(reader, page.rows)), page.next)


def list_uncounted(reader: Reader, asked: SessionQuestion) -> Page[Session]:
    """The same without what was done in each session."""
    now = datetime.now(UTC)
    column = _SORTS[asked.sort]
    conditions, values = conditions_of(reader, asked, now)
    if asked.cursor is not None:
        conditions.append(f"({column}, a.id) < (%s, %s)")
        values += read_cursor(asked.cursor, datetime if asked.sort == "last" else float, int)
    rows = reader.fetch(
        _session,
        f"SELECT {_COLUMNS}{FROM} WHERE {' AND '.join([*conditions, f'{column} IS NOT NULL'])}"
        f" ORDER BY {column} DESC, a.id DESC LIMIT %s",
        [*values, asked.limit + 1],
    )
    sort_key = "last_line_at" if asked.sort == "last" else "seconds"
    page = page_of(rows, asked.limit, lambda row: (getattr(row, sort_key), row.id))
    return Page(tuple(with_state(reader, page.rows, now)), page.next)


def find_sessions(reader: Reader, ids: Sequence[int], now: datetime) -> dict[int, Session]:
    """Sessions by the ids of their rows."""
    found = reader.fetch(_session, f"SELECT {_COLUMNS}{FROM} WHERE a.id = ANY (%s)", [list(ids)])
    return {row.id: row for row in with_state(reader, found, now)}


def one_session(reader: Reader, uuid: UUID, now: datetime) -> Session | None:
    """The session of this uuid, with its state and counts."""
    found = reader.fetch(
        _session, f"SELECT {_COLUMNS}{FROM} WHERE a.session_uuid = %s", [str(uuid)]
    )
    return with_state(reader, with_done(reader, found), now)[0] if found else None


def alive_sessions(reader: Reader, now: datetime) -> list[Session]:
    """Every session that has not ended, with its state."""
    found = reader.fetch(
        _session, f"SELECT {_COLUMNS}{FROM} WHERE a.ended_at IS NULL ORDER BY a.last_seen_at DESC"
    )
    return with_state(reader, found, now)


def needing(reader: Reader, now: datetime) -> list[int]:
    """The sessions that need the user."""
    known = facts_of_alive(reader).items()
    return [agent for agent, facts in known if derive_state(facts, now).kind == "needs"]


def with_state(reader: Reader, rows: Sequence[Session], now: datetime) -> list[Session]:
    """The same sessions, each with its state, and a title where none was given."""
    alive = facts_of(reader, [row.id for row in rows if row.ended_at is None])
    words = first_words_of(reader, {row.id: row.last_line_at for row in rows if not row.title})
    return [
        _stated(row, alive.get(row.id), now, row.title or title_of(words.get(row.id, "")))
        for row in rows
    ]


def _stated(row: Session, facts: LastFacts | None, now: datetime, title: str) -> Session:
    facts = facts or LastFacts(ended_at=row.ended_at, end_reason=row.end_reason)
    return replace(row, state=derive_state(facts, now), title=title)


def with_done(reader: Reader, rows: Sequence[Session]) -> list[Session]:
    """The same sessions, each with what was done in it."""
    keys = [CountedSession(row.id, row.uuid, row.last_line_at) for row in rows]
    done = count_totals(reader, keys)
    return [replace(row, done=done[key]) for row, key in zip(rows, keys, strict=True)]


def conditions_of(
    reader: Reader, asked: SessionQuestion, now: datetime
) -> tuple[list[str], list[Any]]:
    """The filters as SQL and its values."""
    conditions, values = ["true"], list[Any]()
    if words := asked.q.split():
        conditions.append("a.id = ANY (%s)")
        values.append(sessions_having(reader, words))
    for column, chosen in (("p.path", asked.project), ("p.host", asked.host)):
        if chosen:
            conditions.append(f"{column} = ANY (%s)")
            values.append(list(chosen))
    if asked.since:
        conditions.append("a.last_seen_at >= %s")
        values.append(asked.since)
    if asked.until:
        conditions.append("a.started_at < %s")
        values.append(asked.until)
    if asked.state:
        conditions.append("(a.id = ANY (%s) OR (%s AND a.ended_at IS NOT NULL))")
        values += [_in_states(reader, asked.state, now), "ended" in asked.state]
    return conditions, values


def _in_states(reader: Reader, states: Sequence[str], now: datetime) -> list[int]:
    known = facts_of_alive(reader).items()
    return [agent for agent, facts in known if derive_state(facts, now).kind in states]
