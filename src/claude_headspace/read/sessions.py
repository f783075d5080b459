"""Lists of sessions with their state and counts; filtered, in pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct
from msgspec.structs import replace

from claude_headspace.errors import SelectionError
from claude_headspace.read.connection import Reader
from claude_headspace.read.paging import Page, Timed, page_of, read_cursor
from claude_headspace.read.selection import find_session
from claude_headspace.read.session_facts import (
    CountedSession,
    SessionTotals,
    count_totals,
    facts_of,
    facts_of_alive,
)
from claude_headspace.read.state import Kind, LastFacts, State, derive_state
from claude_headspace.read.titles import GIVEN_TITLE, first_words_of, sessions_having, short_title

# The filters except those of a place, for the values of `values_of`.
CONDITIONS = (
    "(%(any_title)s OR a.id = ANY (%(titled)s))"
    " AND (%(any_state)s OR a.id = ANY (%(alive)s) OR (%(ended)s AND a.ended_at IS NOT NULL))"
    " AND (%(since)s::timestamptz IS NULL OR a.last_seen_at >= %(since)s)"
    " AND (%(until)s::timestamptz IS NULL OR a.started_at < %(until)s)"
)
_SELECT = (
    f"SELECT a.id, a.session_uuid::text, {GIVEN_TITLE}, p.path, p.host, a.working_directory,"
    " a.started_at, a.last_seen_at, a.ended_at, a.end_reason, a.forked_from::text"
    " FROM agents a JOIN places p ON p.id = a.project_id WHERE "
)
_LISTED = (
    f"{CONDITIONS} AND (%(projects)s = '{{}}' OR p.path = ANY (%(projects)s))"
    " AND (%(hosts)s = '{}' OR p.host = ANY (%(hosts)s))"
    " AND (%(first)s OR ({column}, a.id) < (%(at)s, %(id)s)) AND {column} IS NOT NULL"
    " ORDER BY {column} DESC, a.id DESC LIMIT %(rows)s"
)
_SORTS = {
    "last": "a.last_seen_at",
    "length": "extract(epoch FROM a.last_seen_at - a.started_at)::float8",
}


class SessionQuestion(Timed, frozen=True):
    """A filter of sessions; empty means any. `q`: words of title or path.

    `since` and `until` select sessions that were alive in between. `sort`: newest or longest first.
    """

    q: Annotated[str, Meta(description="words of its title, project or directory")] = ""
    project: Annotated[tuple[str, ...], Meta(description="one of these paths")] = ()
    host: tuple[str, ...] = ()
    state: tuple[Kind, ...] = ()
    sort: Literal["last", "length"] = "last"


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


def list_sessions(reader: Reader, asked: SessionQuestion) -> Page[Session]:
    """A page of sessions, the newest first."""
    page = list_uncounted(reader, asked)
    return Page(tuple(with_done(reader, page.rows)), page.next)


def list_uncounted(reader: Reader, asked: SessionQuestion) -> Page[Session]:
    """The same without what was done in each session."""
    by_time = asked.sort == "last"
    values = values_of(reader, asked)
    values |= {"projects": list(asked.project), "hosts": list(asked.host)}
    kind = datetime if by_time else float
    at, last = read_cursor(asked.cursor, kind, int) if asked.cursor else (None, None)
    values |= {"first": not asked.cursor, "at": at, "id": last, "rows": asked.limit + 1}
    column = _SORTS[asked.sort]
    rows = _found(reader, _LISTED.replace("{column}", column), values)
    return page_of(
        rows, asked.limit, lambda row: (row.last_line_at if by_time else row.seconds, row.id)
    )


def find_sessions(reader: Reader, ids: Iterable[int | None]) -> dict[int, Session]:
    """Sessions by the ids of their rows."""
    asked = {"ids": list({each for each in ids if each is not None})}
    return {row.id: row for row in _found(reader, "a.id = ANY (%(ids)s)", asked)}


def one_session(reader: Reader, uuid: str) -> Session | None:
    """The session of this uuid, with its state and counts."""
    found = _found(reader, "a.session_uuid = %(uuid)s", {"uuid": uuid})
    return with_done(reader, found)[0] if found else None


def session_named(reader: Reader, name: str) -> Session:
    """The same of the session of this uuid, or the one whose uuid starts with this text."""
    found = one_session(reader, find_session(reader, name).uuid)
    if found is None:
        raise SelectionError(f"the log has no session {name}")
    return found


def alive_sessions(reader: Reader) -> list[Session]:
    """Every session that has not ended, with its state."""
    return _found(reader, "a.ended_at IS NULL ORDER BY a.last_seen_at DESC", {})


def _found(reader: Reader, which: str, values: Mapping[str, Any]) -> list[Session]:
    """These sessions, each with its state, and its first words if no title was given."""
    now, rows = datetime.now(UTC), reader.fetch(Session, _SELECT + which, values)
    alive = facts_of(reader, [row.id for row in rows if row.ended_at is None])
    titles = {row.id: short_title(row.title) for row in rows}
    untitled = {row.id: row.last_line_at for row in rows if not titles[row.id]}
    words = first_words_of(reader, untitled)
    found = []
    for row in rows:
        over = LastFacts(ended_at=row.ended_at, end_reason=row.end_reason)
        state = derive_state(alive.get(row.id, over), now)
        title = titles[row.id] or short_title(words.get(row.id, ""))
        found.append(replace(row, state=state, title=title))
    return found


def with_done(reader: Reader, rows: Sequence[Session]) -> list[Session]:
    """The same sessions, each with what was done in it."""
    keys = [CountedSession(row.id, row.uuid, row.last_line_at) for row in rows]
    done = count_totals(reader, keys)
    return [replace(row, done=done[key]) for row, key in zip(rows, keys, strict=True)]


def values_of(reader: Reader, asked: SessionQuestion) -> dict[str, Any]:
    """The values of CONDITIONS."""
    words = asked.q.split()
    return {
        "any_title": not words, "titled": sessions_having(reader, words) if words else [],
        "any_state": not asked.state, "ended": "ended" in asked.state,
        "alive": in_states(reader, asked.state) if asked.state else [],
        "since": asked.since, "until": asked.until,
    }  # fmt: skip


def in_states(reader: Reader, states: Sequence[Kind]) -> list[int]:
    """The sessions that have not ended and are in one of these states."""
    known, now = facts_of_alive(reader).items(), datetime.now(UTC)
    return [agent_id for agent_id, facts in known if derive_state(facts, now).kind in states]
