"""Events of the log, newest first, in pages that use an index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from claude_headspace.read.connection import Reader
from claude_headspace.read.paging import (
    PAGE_ROWS,
    Cursor,
    Key,
    Limit,
    Moment,
    Page,
    Until,
    page_of,
    read_cursor,
)
from claude_headspace.read.selection import find_projects, find_session

COLUMNS = (
    "e.id, e.event_type, e.timestamp, e.recorded_at, e.session_uuid::text, e.event_key::text,"
    " p.path, p.host, e.payload, e.annotations, e.agent_id, e.command_id, e.turn_id, e.source_id,"
    " e.source_offset"
)
# Retracted events do not count.
NOT_RETRACTED = "e.retracted_at IS NULL"
_BETWEEN = (
    f"SELECT {COLUMNS} FROM events e LEFT JOIN places p ON p.id = e.project_id"
    f" WHERE e.id > %s AND e.id <= %s AND {NOT_RETRACTED} ORDER BY e.id LIMIT %s"
)
_MARKS = (
    "SELECT e.id, e.event_type, e.session_uuid::text, coalesce(p.path, ''), coalesce(p.host, '')"
    " FROM events e LEFT JOIN places p ON p.id = e.project_id"
    f" WHERE e.id > %s AND e.id <= %s AND {NOT_RETRACTED} ORDER BY e.id LIMIT %s"
)
_ONE = f"SELECT {COLUMNS} FROM events e LEFT JOIN places p ON p.id = e.project_id WHERE e.id = %s"
# Sorting by the leading column and comparing it as a range forces the planner to use its index.
# With the index of all timestamps, a project of last year comes after everything of this year.
_LED = (
    "SELECT {columns} FROM unnest(%(leading)s::{kind}[]) AS led (value), LATERAL (SELECT * FROM"
    " events e WHERE e.{column} >= led.value AND e.{column} <= led.value AND {conditions}"
    " ORDER BY e.{column} DESC, {order} LIMIT %(rows)s) e"
    " LEFT JOIN places p ON p.id = e.project_id ORDER BY {order} LIMIT %(rows)s"
)
_PLAIN = (
    "SELECT {columns} FROM events e LEFT JOIN places p ON p.id = e.project_id"
    " WHERE {conditions} ORDER BY {order} LIMIT %(rows)s"
)


@dataclass(frozen=True, slots=True)
class ListedEvent:
    """One event for readers; `project` is a path, `key` and `session` are its identity."""

    id: int
    type: str
    timestamp: datetime
    recorded_at: datetime
    session: str
    key: str
    project: str | None
    host: str | None
    payload: dict[str, Any]
    annotations: dict[str, Any]
    agent_id: int | None
    command_id: int | None
    turn_id: int | None
    source_id: int | None
    source_offset: int | None


@dataclass(frozen=True, slots=True)
class EventMark:
    """That there is an event, and what filters ask for."""

    id: int
    type: str
    session: str
    project: str
    host: str


class EventQuestion(Struct, frozen=True):
    """A filter of events; None or empty means any."""

    session: Annotated[str, Meta(description="uuid, or the start of it")] | None = None
    project: Annotated[str, Meta(description="path, or the end of it")] | None = None
    host: str | None = None
    type: Annotated[tuple[str, ...], Meta(description="one of these types")] = ()
    actor: Literal["user", "agent"] | None = None
    since: Moment | None = None
    until: Until | None = None
    cursor: Cursor | None = None
    limit: Limit = PAGE_ROWS


def list_events(reader: Reader, asked: EventQuestion) -> Page[ListedEvent]:
    """A page, newest first: one session's by order of the log, others by time."""
    plan = _plan(reader, asked)
    return page_of(reader.fetch(ListedEvent, plan.statement(), plan.values), asked.limit, plan.key)


def find_event(reader: Reader, event_id: int) -> ListedEvent | None:
    """The event of this id, retracted or not."""
    found = reader.fetch(ListedEvent, _ONE, (event_id,))
    return found[0] if found else None


def events_between(reader: Reader, after_id: int, last_id: int, limit: int) -> list[ListedEvent]:
    """Events above one id and up to another, in the order of their ids."""
    return reader.fetch(ListedEvent, _BETWEEN, (after_id, last_id, limit))


def marks_between(reader: Reader, after_id: int, last_id: int, limit: int) -> list[EventMark]:
    """The same events, without their data."""
    return reader.fetch(EventMark, _MARKS, (after_id, last_id, limit))


@dataclass(slots=True)
class _Plan:
    """One statement under construction."""

    values: dict[str, Any]
    leading: tuple[str, str] | None = None
    by_id: bool = False
    conditions: list[str] = field(default_factory=lambda: [NOT_RETRACTED])

    def require(self, condition: str, **values: Any) -> None:
        self.conditions.append(condition)
        self.values |= values

    def lead(self, column: str, kind: str, wanted: Sequence[Any]) -> None:
        """Lead by this column, whose index continues with the order of the page."""
        if self.leading is None:
            self.leading = (column, kind)
            self.values["leading"] = list(wanted)
        else:
            self.require(f"e.{column} = ANY (%({column})s)", **{column: list(wanted)})

    def key(self, event: ListedEvent) -> Key:
        return (event.id,) if self.by_id else (event.timestamp, event.id)

    def go_on_from(self, cursor: str) -> None:
        if self.by_id:
            self.require("e.id < %(before)s", before=read_cursor(cursor, int)[0])
            return
        at, before = read_cursor(cursor, datetime, int)
        condition = "e.timestamp <= %(at)s AND (e.timestamp, e.id) < (%(at)s, %(before)s)"
        self.require(condition, at=at, before=before)

    def statement(self) -> str:
        column, kind = self.leading or ("", "")
        return (_LED if self.leading else _PLAIN).format(
            columns=COLUMNS,
            column=column,
            kind=kind,
            conditions=" AND ".join(self.conditions),
            order="e.id DESC" if self.by_id else "e.timestamp DESC, e.id DESC",
        )


def _plan(reader: Reader, asked: EventQuestion) -> _Plan:
    plan = _Plan({"rows": asked.limit + 1})
    if asked.session is not None:
        _lead_by_session(reader, plan, asked.session)
    if asked.project is not None or asked.host is not None:
        plan.lead("project_id", "int", find_projects(reader, asked.project, asked.host))
    if asked.type:
        plan.lead("event_type", "text", sorted(set(asked.type)))
    if asked.actor is not None:
        plan.require("e.payload ->> 'actor' = %(actor)s", actor=asked.actor)
    if asked.since is not None:
        plan.require("e.timestamp >= %(since)s", since=asked.since)
    if asked.until is not None:
        plan.require("e.timestamp < %(until)s", until=asked.until)
    if asked.cursor is not None:
        plan.go_on_from(asked.cursor)
    return plan


def _lead_by_session(reader: Reader, plan: _Plan, name: str) -> None:
    """Sessions without a row of their own are not indexed."""
    found = find_session(reader, name)
    plan.by_id = True
    if found.agent_id is None:
        plan.require("e.session_uuid = %(session)s::uuid", session=found.uuid)
    else:
        plan.lead("agent_id", "int", [found.agent_id])
