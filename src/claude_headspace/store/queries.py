"""Queries of readers. Every statement for one page uses an index.

Events of one session are in the order of the log, which is the order of its transcript; all others
are in the order of their timestamps. A turn in several sessions has the same `event_key` in all of
them, which counts use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    LargeBinary,
    Select,
    TextualSelect,
    select,
    text,
)

from claude_headspace.store.tables import events, places

# Skips from one type to the next in the index, however many events there are.
_ALL_TYPES = text("""
WITH RECURSIVE types(type) AS ((SELECT min(event_type) FROM events) UNION ALL
    SELECT (SELECT min(event_type) FROM events WHERE event_type > type) FROM types
    WHERE type IS NOT NULL) SELECT type FROM types WHERE type IS NOT NULL
""")
_DEAD_LETTERS = text("""
SELECT page.*, m.label AS host, c.path FROM (
    SELECT id, source_id, source_offset, reason, detail, recorded_at, resolved_at,
        substring(content, 1, coalesce(:content_bytes, length(content))) AS content,
        length(content) AS content_bytes
    FROM dead_letters WHERE (:resolved_too OR resolved_at IS NULL) AND (:of IS NULL OR source_id IN
        (SELECT id FROM checkpoints WHERE machine = ANY (CAST(:of AS uuid[]))))
    ORDER BY id DESC LIMIT :limit) page
LEFT JOIN checkpoints c ON c.id = page.source_id LEFT JOIN machines m ON m.id = c.machine
ORDER BY page.id
""")
_RECENT_HOOKS = text("""
SELECT kind, max(timestamp) FROM (
    SELECT payload ->> 'hook_type' AS kind, timestamp FROM events
    WHERE event_type = 'hook_received' ORDER BY timestamp DESC LIMIT 10000) recent GROUP BY kind
""")
# Retracted events do not count.
NOT_RETRACTED = events.c.retracted_at.is_(None)


@dataclass(frozen=True, slots=True)
class EventFilter:
    """A filter of events; a field that is None or empty does not apply.

    `session` is for a session without a row, and is not indexed.
    """

    agent_id: int | None = None
    session: UUID | None = None
    project_ids: tuple[int, ...] = ()
    event_type: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """The same as SQL."""
        column, value = self._leading() or (None, None)
        wanted: list[ColumnElement[bool]] = [NOT_RETRACTED]
        if column is not None:
            wanted += [column >= value, column <= value]
        if self.session is not None:
            wanted.append(events.c.session_uuid == self.session)
        if self.project_ids and column is not events.c.project_id:
            wanted.append(events.c.project_id.in_(self.project_ids))
        if self.event_type is not None and column is not events.c.event_type:
            wanted.append(events.c.event_type == self.event_type)
        if self.since is not None:
            wanted.append(events.c.timestamp >= self.since)
        if self.until is not None:
            wanted.append(events.c.timestamp < self.until)
        return wanted

    def order(self) -> tuple[str, ...]:
        """The columns by which events are sorted."""
        one_session = self.agent_id is not None or self.session is not None
        order = ("id",) if one_session else ("timestamp", "id")
        leading = self._leading()
        return order if leading is None else (leading[0].name, *order)

    def _leading(self) -> tuple[Column[Any], Any] | None:
        """The first column of the index to use, and its one value.

        Sorting by it and comparing it as a range forces the planner to use this index. With the
        index of all timestamps, a project of last year comes after everything of this year.
        """
        if self.agent_id is not None:
            return events.c.agent_id, self.agent_id
        if self.session is None and len(self.project_ids) == 1:
            return events.c.project_id, self.project_ids[0]
        if self.session is None and not self.project_ids and self.event_type is not None:
            return events.c.event_type, self.event_type
        return None


def newest_events(
    wanted: EventFilter, limit: int | None, *, last_id: int | None = None
) -> Select[Any]:
    """The newest events (up to an id), newest last; all if there is no limit."""
    chosen = select(events).where(*wanted.conditions())
    if last_id is not None:
        chosen = chosen.where(events.c.id <= last_id)
    if limit is not None:
        newest_first = [events.c[name].desc() for name in wanted.order()]
        chosen = chosen.order_by(*newest_first).limit(limit)
    return _with_projects(chosen, wanted.order())


def types_in(connection: Connection) -> list[str]:
    """The types of all events in the log."""
    return list(connection.scalars(_ALL_TYPES))


def events_between(wanted: EventFilter, after_id: int, last_id: int) -> Select[Any]:
    """Events above one id and up to another, in the order of their ids."""
    chosen = select(events).where(
        events.c.id > after_id, events.c.id <= last_id, *wanted.conditions()
    )
    return _with_projects(chosen, ("id",))


def _with_projects(chosen: Select[Any], order: Sequence[str]) -> Select[Any]:
    page = chosen.subquery("page")
    return (
        select(page, places.c.path.label("project"), places.c.host)
        .outerjoin(places, places.c.id == page.c.project_id)
        .order_by(*[page.c[name] for name in order])
    )


def newest_dead_letters(
    *,
    resolved_too: bool,
    limit: int | None,
    content_bytes: int | None,
    of: Sequence[str] | None = None,
) -> TextualSelect:
    """Dead letters, newest last, with all or the beginning of their content.

    `of`: only those of these machines' files.
    """
    asked = {"resolved_too": resolved_too, "limit": limit, "content_bytes": content_bytes, "of": of}
    return _DEAD_LETTERS.bindparams(**asked).columns(content=LargeBinary)


def hooks_seen(connection: Connection) -> list[tuple[str, datetime]]:
    """Hook types among the newest hook events, with the time of the last of each."""
    return [(row[0], row[1]) for row in connection.execute(_RECENT_HOOKS)]
