"""Events of the log, newest first, in pages that use an index."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta

from claude_headspace.errors import SelectionError
from claude_headspace.read.connection import Reader
from claude_headspace.read.paging import Name, Page, Placed, page_of, read_cursor
from claude_headspace.read.selection import filters_of, filters_on
from claude_headspace.store.connection import Row

_ID_DIGITS = 20
_COLUMNS = (
    "e.id, e.event_type, e.timestamp, e.recorded_at, e.session_uuid::text, e.event_key::text,"
    " p.path, p.host, e.payload, e.annotations, e.agent_id, e.command_id, e.turn_id, e.source_id,"
    " e.source_offset"
)
_PLACED = " LEFT JOIN places p ON p.id = e.project_id"
_EVENTS = f"SELECT {_COLUMNS} FROM events e{_PLACED} WHERE "
# Retracted events do not count.
_BETWEEN = "e.id > %s AND e.id <= %s AND e.retracted_at IS NULL ORDER BY e.id LIMIT %s"
_FILTERED = (
    "e.retracted_at IS NULL AND (%(types)s::text[] IS NULL OR e.event_type = ANY (%(types)s))"
    " AND (%(actor)s::text IS NULL OR e.payload ->> 'actor' = %(actor)s)"
    " AND (%(below)s::bigint IS NULL OR e.id < %(below)s) AND "
    + filters_on("e.timestamp", "e.id", "e.session_uuid", "e.project_id", "e.agent_id")
)
_NEWEST = f"{_EVENTS}{_FILTERED} ORDER BY {{order}} LIMIT %(rows)s"
_MARKS = (
    "SELECT max(e.id), e.event_type, e.session_uuid::text, coalesce(p.path, ''),"
    f" coalesce(p.host, '') FROM events e{_PLACED} WHERE e.id > %s AND e.id <= %s"
    " AND e.retracted_at IS NULL GROUP BY 2, 3, 4, 5 ORDER BY 1"
)
# Sorting by the leading column and comparing it as a range forces the planner to use its index.
# With the index of all timestamps, a project of last year comes after everything of this year.
_LED = (
    f"SELECT {_COLUMNS} FROM unnest(%(leading)s::{{kind}}[]) AS led (value), LATERAL (SELECT * FROM"
    f" events e WHERE e.{{column}} >= led.value AND e.{{column}} <= led.value AND {_FILTERED}"
    f" ORDER BY e.{{column}} DESC, {{order}} LIMIT %(rows)s) e{_PLACED}"
    " ORDER BY {order} LIMIT %(rows)s"
)
# A filter, and the column whose index continues with the order of the page.
_LEADING = (
    ("agents", "agent_id", "int"),
    ("projects", "project_id", "int"),
    ("types", "event_type", "text"),
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


class EventQuestion(Placed, frozen=True):
    """A filter of events; None or empty means any."""

    session: Name | None = None
    type: Annotated[tuple[str, ...], Meta(description="one of these types")] = ()
    actor: Literal["user", "agent"] | None = None


def list_events(reader: Reader, asked: EventQuestion) -> Page[ListedEvent]:
    """A page, newest first: one session's by order of the log, others by time."""
    by_id = asked.session is not None
    values = filters_of(reader, asked, None if by_id else int)
    values["below"] = read_cursor(asked.cursor, int)[0] if by_id and asked.cursor else None
    values |= {"types": sorted(set(asked.type)) or None, "actor": asked.actor, "agents": None}
    if values["agent"] is not None:  # sessions without a row of their own are not indexed
        values |= {"agents": [values["agent"]], "agent": None, "session": None}
    order, statement = "e.id DESC" if by_id else "e.timestamp DESC, e.id DESC", _NEWEST
    for name, column, kind in _LEADING:
        if values[name] is not None:
            values |= {"leading": values[name], name: None}
            statement = _LED.format(column=column, kind=kind, order="{order}")
            break
    rows = reader.fetch(ListedEvent, statement.format(order=order), values)
    return page_of(rows, asked.limit, lambda row: (row.id,) if by_id else (row.timestamp, row.id))


def find_event(reader: Reader, name: str) -> ListedEvent:
    """The event of this id, retracted or not."""
    known = name.isdecimal() and len(name) < _ID_DIGITS
    found = reader.fetch(ListedEvent, f"{_EVENTS}e.id = %s", [int(name)]) if known else []
    if not found:
        raise SelectionError(f"the log has no event {name}")
    return found[0]


def events_between(reader: Reader, after_id: int, last_id: int, limit: int) -> list[ListedEvent]:
    """Events above one id and up to another, in the order of their ids."""
    return reader.fetch(ListedEvent, _EVENTS + _BETWEEN, (after_id, last_id, limit))


def marks_between(reader: Reader, after_id: int, last_id: int) -> list[Row]:
    """(newest id, type, session, project, host) of these events, each combination once."""
    return reader.rows(_MARKS, (after_id, last_id))
