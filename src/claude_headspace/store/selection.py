"""Sessions and projects as people name them: by a beginning of an id, or by a folder."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from sqlalchemy import Connection, Text, cast, or_, select, true

from claude_headspace.errors import SelectionError
from claude_headspace.store.queries import EventFilter
from claude_headspace.store.tables import agents, machines, projects

SHOWN_CHOICES = 5
SHORTEST_ID = 8


_UUID_DIGITS = 32


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


def find_machines(connection: Connection, name: str) -> tuple[UUID, ...]:
    """Those that are called so, or the one whose id begins so."""
    called = machines.c.label == name
    if len(name) >= SHORTEST_ID:
        begins = cast(machines.c.id, Text).startswith(name.lower(), autoescape=True)
        called = or_(called, begins)
    found = connection.scalars(select(machines.c.id).where(called)).all()
    if not found:
        raise SelectionError(f"the log knows no host {name}: see `claude-headspace hosts`")
    return tuple(found)


def find_projects(
    connection: Connection, name: str | None, host: str | None = None
) -> tuple[int, ...]:
    """Ids of the project (one for each host) with this path, or the one path that ends so.

    Only those of the host; all of them without a name. Empty where neither is named.
    """
    if name is None and host is None:
        return ()
    here = true() if host is None else projects.c.machine.in_(find_machines(connection, host))
    if name is None:
        # 0, which is no project's, where the host has none.
        return tuple(connection.scalars(select(projects.c.id).where(here))) or (0,)
    exact = [name, os.path.normpath(Path.cwd() / Path(name).expanduser())]
    tail = name.strip("/")
    rows = connection.execute(
        select(projects.c.id, projects.c.path).where(
            here,
            or_(
                projects.c.path.in_(exact),
                projects.c.path.endswith("/" + tail, autoescape=True),
            ),
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
