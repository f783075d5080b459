"""What readers ask of the log. Every statement of a single page is served by an index.

Events of one session come in the order of the log, which is the order of its transcript; all
others in the order of their own time. A turn that stands in several sessions has one `event_key`
in all of them: counts go by it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Select,
    Subquery,
    case,
    cast,
    delete,
    func,
    literal,
    or_,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import insert

from claude_headspace.errors import SelectionError
from claude_headspace.events.taxonomy import HOOK_RECEIVED, TURN_DETECTED
from claude_headspace.store.sessions import REGISTRATION_CHANNEL
from claude_headspace.store.tables import (
    agents,
    checkpoints,
    dead_letters,
    events,
    projects,
    registrations,
    tombstones,
)
from claude_headspace.transcripts.checkpoint import RULES

COUNTED_BYTES = 64 * 1024 * 1024
RECENT_HOOKS = 10_000
SHOWN_CHOICES = 5
PROMPT_CHARACTERS = 200
_UUID_DIGITS = 32

_COMMON_TYPES = text(
    "SELECT v.type, (c.reltuples * v.share)::bigint"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname,"
    " unnest(s.most_common_vals::text::text[], s.most_common_freqs) AS v(type, share)"
    " WHERE c.oid = 'events'::regclass AND s.attname = 'event_type' AND c.reltuples > 0"
)
# From one type to the next in the index, however many events lie between.
_ALL_TYPES = text(
    "WITH RECURSIVE types(type) AS ((SELECT min(event_type) FROM events) UNION ALL"
    " SELECT (SELECT min(event_type) FROM events WHERE event_type > type) FROM types"
    " WHERE type IS NOT NULL) SELECT type FROM types WHERE type IS NOT NULL"
)

_MACHINES = text(
    "SELECT substring(kind FROM 'machine:(.*)'), sum(number::bigint)::bigint"
    " FROM checkpoints, jsonb_each_text(counts -> 'other') AS other (kind, number)"
    " WHERE kind LIKE '%/machine:%' AND NOT split_part(kind, '/', 2) = ANY (:known)"
    " GROUP BY 1 ORDER BY 1"
)
# Every watcher that runs holds a lock of its host's name (see watcher.lease).
_WATCHERS_BEHIND = text(
    "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database,"
    " registrations r WHERE r.session_uuid = :session AND d.datname = current_database()"
    " AND l.locktype = 'advisory' AND l.granted"
    " AND l.classid = hashtext('claude_headspace.watcher')::oid AND NOT EXISTS"
    " (SELECT FROM registration_hosts h WHERE h.session_uuid = r.session_uuid"
    " AND h.generation >= r.generation AND hashtext(h.host)::oid = l.objid)"
)


# What was retracted counts nowhere.
STANDING = events.c.retracted_at.is_(None)


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events are wanted; what is None or empty does not matter.

    `session` is for a session that has no row of its own (any more): it is not indexed.
    """

    agent_id: int | None = None
    session: UUID | None = None
    project_ids: tuple[int, ...] = ()
    event_type: str | None = None
    since: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """The same as SQL."""
        wanted: list[ColumnElement[bool]] = [STANDING]
        leading = self._leading()
        if leading is not None:
            wanted += [leading[0] >= leading[1], leading[0] <= leading[1]]
        if self.session is not None:
            wanted.append(events.c.session_uuid == self.session)
        if self.project_ids and (leading is None or leading[0] is not events.c.project_id):
            wanted.append(events.c.project_id.in_(self.project_ids))
        if self.event_type is not None and (
            leading is None or leading[0] is not events.c.event_type
        ):
            wanted.append(events.c.event_type == self.event_type)
        if self.since is not None:
            wanted.append(events.c.timestamp >= self.since)
        return wanted

    def order(self) -> tuple[str, ...]:
        """Columns that the events are sorted by."""
        one_session = self.agent_id is not None or self.session is not None
        order = ("id",) if one_session else ("timestamp", "id")
        leading = self._leading()
        return order if leading is None else (leading[0].name, *order)

    def _leading(self) -> tuple[Column[Any], Any] | None:
        """The first column of the index to be used, and its one value.

        Sorted by and compared as a range, it leaves the planner no other index, such as that of
        all timestamps, in which a project of last year comes after everything of this one.
        """
        if self.agent_id is not None:
            return events.c.agent_id, self.agent_id
        if self.session is None and len(self.project_ids) == 1:
            return events.c.project_id, self.project_ids[0]
        if self.session is None and not self.project_ids and self.event_type is not None:
            return events.c.event_type, self.event_type
        return None


@dataclass(frozen=True, slots=True)
class NamedSession:
    """A session that somebody named; `agent_id` is None when it has no row."""

    uuid: UUID
    agent_id: int | None

    def filter(self) -> EventFilter:
        """Its events."""
        if self.agent_id is None:
            return EventFilter(session=self.uuid)
        return EventFilter(agent_id=self.agent_id)


@dataclass(frozen=True, slots=True)
class EventCounts:
    """Events by type, and turns counted once; not `exact`: from the server's statistics."""

    by_type: Mapping[str, int]
    turns: int | None
    exact: bool


@dataclass(frozen=True, slots=True)
class Captured:
    """What the log holds, of all hosts; bytes and lines are those of committed sources.

    `unknown_machines`: messages of machines of kinds that nobody has thought of, by kind.
    `older_rules`: sources whose lines were read by the rules of an earlier version.
    """

    events: EventCounts
    sessions: int
    open_sessions: int
    projects: int
    sources: int
    committed_bytes: int
    lines: Mapping[str, int] = field(default_factory=dict)
    dead_letters: int = 0
    unknown_machines: Mapping[str, int] = field(default_factory=dict)
    older_rules: int = 0


def newest_events(
    wanted: EventFilter, limit: int | None, *, last_id: int | None = None
) -> Select[Any]:
    """The newest events (up to an id), newest last; all of them without a limit."""
    chosen = select(events).where(*wanted.conditions())
    if last_id is not None:
        chosen = chosen.where(events.c.id <= last_id)
    if limit is not None:
        newest_first = [events.c[name].desc() for name in wanted.order()]
        chosen = chosen.order_by(*newest_first).limit(limit)
    return _with_projects(chosen, wanted.order())


def events_between(wanted: EventFilter, after_id: int, last_id: int) -> Select[Any]:
    """Events above one id and up to another, in the order of their ids."""
    chosen = select(events).where(
        events.c.id > after_id, events.c.id <= last_id, *wanted.conditions()
    )
    return _with_projects(chosen, ("id",))


def _with_projects(chosen: Select[Any], order: Sequence[str]) -> Select[Any]:
    page = chosen.subquery("page")
    return (
        select(page, projects.c.path.label("project"))
        .outerjoin(projects, projects.c.id == page.c.project_id)
        .order_by(*[page.c[name] for name in order])
    )


def find_session(connection: Connection, name: str) -> NamedSession:
    """The session of this uuid, known or not, or the one whose uuid begins so."""
    digits = name.lower().replace("-", "")
    if not re.fullmatch(f"[0-9a-f]{{1,{_UUID_DIGITS}}}", digits):
        raise SelectionError(f"{name!r} is no session: give its uuid or the beginning of it")
    first, last = UUID(digits.ljust(_UUID_DIGITS, "0")), UUID(digits.ljust(_UUID_DIGITS, "f"))
    rows = connection.execute(
        select(agents.c.session_uuid, agents.c.id)
        .where(agents.c.session_uuid.between(first, last))
        .order_by(agents.c.session_uuid)
        .limit(SHOWN_CHOICES + 1)
    ).all()
    if not rows and len(digits) == _UUID_DIGITS:
        return NamedSession(first, None)
    _check_single(f"session whose uuid begins with {name}", [str(row[0]) for row in rows])
    return NamedSession(rows[0][0], rows[0][1])


def find_projects(connection: Connection, name: str) -> tuple[int, ...]:
    """Ids of the project (one for each host) with this path, or the one path that ends so."""
    exact = [name, os.path.normpath(Path.cwd() / Path(name).expanduser())]
    tail = name.strip("/")
    rows = connection.execute(
        select(projects.c.id, projects.c.path).where(
            or_(
                projects.c.path.in_(exact),
                projects.c.path.endswith("/" + tail, autoescape=True),
            )
        )
    ).all()
    for path in exact:
        if same := [row.id for row in rows if row.path == path]:
            return tuple(same)
    _check_single(f"project named {name}", sorted({row.path for row in rows}))
    return tuple(row.id for row in rows)


def sessions_named(connection: Connection, name: str) -> list[UUID]:
    """The session of this uuid, or whose uuid begins so; else all of the project of this path."""
    if re.fullmatch(r"[0-9a-f-]{1,36}", name.lower()):
        return [find_session(connection, name).uuid]
    chosen = agents.c.project_id.in_(find_projects(connection, name))
    return list(connection.scalars(select(agents.c.session_uuid).where(chosen)))


def sessions_silent_since(connection: Connection, moment: datetime) -> list[UUID]:
    """The sessions that have not spoken after this moment."""
    silent = agents.c.last_seen_at < moment
    return list(connection.scalars(select(agents.c.session_uuid).where(silent)))


def _check_single(what: str, found: Sequence[str]) -> None:
    if not found:
        raise SelectionError(f"the log knows no {what}: see `claude-headspace sessions`")
    if len(found) > 1:
        listed = ", ".join(found[:SHOWN_CHOICES])
        more = " and others" if len(found) > SHOWN_CHOICES else ""
        raise SelectionError(f"there is more than one {what}: {listed}{more}; say more of it")


def newest_sessions(
    project_ids: Sequence[int], *, open_only: bool, limit: int | None
) -> Select[Any]:
    """Sessions with their projects, the one seen last at the end."""
    seen = (agents.c.last_seen_at, agents.c.id)
    chosen = select(agents)
    if project_ids:
        chosen = chosen.where(agents.c.project_id.in_(project_ids))
    if open_only:
        chosen = chosen.where(agents.c.ended_at.is_(None))
    chosen = chosen.order_by(seen[0].desc().nulls_last(), seen[1].desc()).limit(limit)
    page = chosen.subquery("page")
    return (
        select(page, projects.c.path.label("project"), projects.c.host, _first_prompt(page))
        .join(projects, projects.c.id == page.c.project_id)
        .order_by(page.c.last_seen_at.asc().nulls_first(), page.c.id)
    )


def _first_prompt(page: Subquery) -> ColumnElement[str]:
    """The beginning of what a person said first in a session that has no title."""
    said = events.c.payload["text"].astext
    first = (
        select(func.left(said, PROMPT_CHARACTERS))
        .where(events.c.agent_id == page.c.id, events.c.event_type == TURN_DETECTED, STANDING)
        .where(events.c.payload["actor"].astext == "user")
        .order_by(events.c.agent_id, events.c.id)
        .limit(1)
        .scalar_subquery()
    )
    return case((page.c.titles == {}, first)).label("first_prompt")


def count_turns(connection: Connection, agent_ids: Sequence[int]) -> tuple[dict[int, int], int]:
    """Turns of each of these sessions, and of all together: there a shared turn counts once."""
    if not agent_ids:
        return {}, 0
    rows = connection.execute(
        select(events.c.agent_id, func.count(events.c.event_key.distinct()))
        .where(events.c.agent_id.in_(agent_ids), events.c.event_type == TURN_DETECTED, STANDING)
        .group_by(func.rollup(events.c.agent_id))
    ).all()
    counts: dict[int | None, int] = {row[0]: row[1] for row in rows}
    together = counts.pop(None, 0)
    return {agent: count for agent, count in counts.items() if agent is not None}, together


def captured(
    connection: Connection, *, exactly: bool = False, known_machines: Collection[str] = ()
) -> Captured:
    """What the log holds. A large table is not counted, unless `exactly`: see EventCounts."""
    sessions, unended = connection.execute(
        select(func.count(), func.count().filter(agents.c.ended_at.is_(None))).select_from(agents)
    ).one()
    names = ("lines", "turns", "duplicates", "rescued")
    sums = [func.sum(cast(checkpoints.c.counts[name].astext, BigInteger)) for name in names]
    older = func.count().filter(checkpoints.c.rules < RULES)
    sources, older_rules, committed, *lines = connection.execute(
        select(func.count(), older, func.sum(checkpoints.c.committed_offset), *sums)
    ).one()
    machines = connection.execute(_MACHINES, {"known": list(known_machines)})
    return Captured(
        events=count_events(connection, exactly=exactly),
        sessions=sessions,
        open_sessions=unended,
        projects=connection.execute(select(func.count()).select_from(projects)).scalar_one(),
        sources=sources,
        committed_bytes=int(committed or 0),
        lines={name: int(value or 0) for name, value in zip(names, lines, strict=True)},
        dead_letters=connection.execute(_count_open_dead_letters()).scalar_one(),
        unknown_machines={row[0]: row[1] for row in machines},
        older_rules=older_rules,
    )


def count_events(connection: Connection, *, exactly: bool) -> EventCounts:
    """Events by type: counted while the table is small, otherwise estimated if it can be."""
    size = connection.execute(select(func.pg_relation_size(text("'events'::regclass")))).scalar()
    if not exactly and (size or 0) > COUNTED_BYTES:
        estimated = _estimate_events(connection)
        if estimated:
            return EventCounts(estimated, None, exact=False)
    rows = connection.execute(
        select(events.c.event_type, func.count()).where(STANDING).group_by(events.c.event_type)
    ).all()
    turns = connection.execute(
        select(func.count(events.c.event_key.distinct())).where(
            events.c.event_type == TURN_DETECTED, STANDING
        )
    ).scalar_one()
    return EventCounts({row[0]: row[1] for row in sorted(rows)}, turns, exact=True)


def _estimate_events(connection: Connection) -> dict[str, int]:
    """The server's statistics; types too rare to be in them are counted, which is quick."""
    common = {row[0]: row[1] for row in connection.execute(_COMMON_TYPES)}
    if not common:
        return {}
    rare = set(connection.execute(_ALL_TYPES).scalars()) - common.keys()
    counted = select(events.c.event_type, func.count()).group_by(events.c.event_type)
    rows = connection.execute(counted.where(events.c.event_type.in_(rare))).all() if rare else ()
    return dict(sorted({**common, **{row[0]: row[1] for row in rows}}.items()))


def _count_open_dead_letters() -> Select[Any]:
    return (
        select(func.count()).select_from(dead_letters).where(dead_letters.c.resolved_at.is_(None))
    )


def newest_dead_letters(
    *, resolved_too: bool, limit: int | None, content_bytes: int | None
) -> Select[Any]:
    """What was not taken, newest last, with the beginning of its content or all of it."""
    content: ColumnElement[bytes] = dead_letters.c.content
    if content_bytes is not None:
        content = func.substring(dead_letters.c.content, 1, content_bytes)
    c = dead_letters.c
    chosen = select(
        c.id, c.source_id, c.source_offset, c.reason, c.detail, c.recorded_at, c.resolved_at,
        content.label("content"), func.length(c.content).label("content_bytes"),
    )  # fmt: skip
    if not resolved_too:
        chosen = chosen.where(dead_letters.c.resolved_at.is_(None))
    page = chosen.order_by(dead_letters.c.id.desc()).limit(limit).subquery("page")
    return (
        select(page, checkpoints.c.host, checkpoints.c.path)
        .outerjoin(checkpoints, checkpoints.c.id == page.c.source_id)
        .order_by(page.c.id)
    )


def hooks_seen(connection: Connection) -> list[tuple[str, datetime]]:
    """Kinds of hooks among the newest that were received, with the time of the last of each."""
    recent = (
        select(events.c.payload["hook_type"].astext.label("kind"), events.c.timestamp)
        .where(events.c.event_type == HOOK_RECEIVED)
        .order_by(events.c.timestamp.desc())
        .limit(RECENT_HOOKS)
        .subquery("recent")
    )
    rows = connection.execute(
        select(recent.c.kind, func.max(recent.c.timestamp)).group_by(recent.c.kind)
    )
    return [(row[0], row[1]) for row in rows]


def ask_for(
    connection: Connection,
    session: UUID,
    *,
    wanted: bool,
    project_path: str | None = None,
    working_directory: str | None = None,
    iterm_pane_id: str | None = None,
    host: str | None = None,
) -> bool:
    """Note that a session is to be captured or not, and wake the watchers.

    One that was forgotten may come back then.

    `host` is where it is asked. Returns whether that changes anything; commits.
    """
    given = {
        "project_path": project_path,
        "working_directory": working_directory,
        "iterm_pane_id": iterm_pane_id,
        "host": host,
    }
    row = insert(registrations).values(session_uuid=session, wanted=wanted, **given)
    changed = registrations.c.wanted != row.excluded.wanted
    kept = {name: func.coalesce(row.excluded[name], registrations.c[name]) for name in given}
    generation = connection.execute(
        select(registrations.c.wanted).where(registrations.c.session_uuid == session)
    ).scalar()
    connection.execute(
        row.on_conflict_do_update(
            index_elements=[registrations.c.session_uuid],
            set_={
                "wanted": row.excluded.wanted,
                "generation": registrations.c.generation
                + func.coalesce(cast(changed, registrations.c.generation.type), 0),
                "requested_at": func.clock_timestamp(),
                **kept,
            },
        )
    )
    if wanted:
        connection.execute(delete(tombstones).where(tombstones.c.session_uuid == session))
    connection.execute(select(func.pg_notify(REGISTRATION_CHANNEL, literal(str(session)))))
    connection.commit()
    return generation is not wanted


def watchers_behind(connection: Connection, session: UUID) -> int:
    """How many of the watchers that run have not yet done what was asked for the session."""
    counted: int = connection.execute(_WATCHERS_BEHIND, {"session": session}).scalar_one()
    connection.commit()
    return counted
