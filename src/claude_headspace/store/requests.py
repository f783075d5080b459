"""Requests of users: to capture a session or not, and to dismiss dead letters."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import (
    Connection,
    cast,
    delete,
    func,
    literal,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from claude_headspace.store.queries import _WATCHERS_BEHIND
from claude_headspace.store.sessions import REGISTRATION_CHANNEL
from claude_headspace.store.tables import (
    dead_letters,
    registrations,
    tombstones,
)


def ask_for(
    connection: Connection,
    session: UUID,
    *,
    wanted: bool,
    project_path: str | None = None,
    working_directory: str | None = None,
    iterm_pane_id: str | None = None,
    machine: str | None = None,
) -> bool:
    """Register or unregister a session, and wake the watchers.

    A forgotten session that is registered may come back. `machine` is the machine of the request.
    Returns whether this changes anything; commits.
    """
    given = {
        "project_path": project_path,
        "working_directory": working_directory,
        "iterm_pane_id": iterm_pane_id,
        "machine": machine,
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
    """How many running watchers have not yet applied the session's registration."""
    counted: int = connection.execute(_WATCHERS_BEHIND, {"session": session}).scalar_one()
    connection.commit()
    return counted


def dismiss_rejected(connection: Connection, ids: Sequence[int] | None) -> list[int]:
    """Mark unresolved dead letters as resolved (None: all); returns their ids; commits."""
    c = dead_letters.c
    chosen = update(dead_letters).where(c.resolved_at.is_(None))
    if ids is not None:
        chosen = chosen.where(c.id.in_(ids))
    done = connection.scalars(chosen.values(resolved_at=func.clock_timestamp()).returning(c.id))
    found = list(done)
    connection.commit()
    return found
