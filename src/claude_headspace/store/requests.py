"""Requests of users: to capture a session or not, and to dismiss dead letters."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection, text

from claude_headspace.store.leases import LEASES_BEHIND
from claude_headspace.store.sessions import REGISTRATION_CHANNEL

_ASK = text("""
WITH known AS (SELECT wanted FROM registrations WHERE session_uuid = :session),
back AS (DELETE FROM tombstones WHERE session_uuid = :session AND :wanted),
asked AS (
    INSERT INTO registrations AS r (session_uuid, wanted, project_path, working_directory,
        iterm_pane_id, machine)
    VALUES (:session, :wanted, :project_path, :working_directory, :iterm_pane_id, :machine)
    ON CONFLICT (session_uuid) DO UPDATE SET wanted = excluded.wanted,
        generation = r.generation + (r.wanted <> excluded.wanted)::int,
        requested_at = clock_timestamp(),
        project_path = coalesce(excluded.project_path, r.project_path),
        working_directory = coalesce(excluded.working_directory, r.working_directory),
        iterm_pane_id = coalesce(excluded.iterm_pane_id, r.iterm_pane_id),
        machine = coalesce(excluded.machine, r.machine))
SELECT (SELECT wanted FROM known) IS DISTINCT FROM :wanted, pg_notify(:channel, :session)
""")
_WATCHERS_BEHIND = text(LEASES_BEHIND.format(which="r.session_uuid = :session"))
_DISMISS = text("""
UPDATE dead_letters SET resolved_at = clock_timestamp()
WHERE resolved_at IS NULL AND (:ids IS NULL OR id = ANY (:ids)) RETURNING id
""")


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
    changed: bool = connection.execute(_ASK, {
        "session": str(session), "wanted": wanted, "project_path": project_path,
        "working_directory": working_directory, "iterm_pane_id": iterm_pane_id,
        "machine": machine, "channel": REGISTRATION_CHANNEL,
    }).scalar_one()  # fmt: skip
    connection.commit()
    return changed


def watchers_behind(connection: Connection, session: UUID) -> int:
    """How many running watchers have not yet applied the session's registration."""
    counted: int = connection.execute(_WATCHERS_BEHIND, {"session": str(session)}).scalar_one()
    connection.commit()
    return counted


def dismiss_rejected(connection: Connection, ids: Sequence[int] | None) -> list[int]:
    """Mark unresolved dead letters as resolved (None: all); returns their ids; commits."""
    found = list(connection.scalars(_DISMISS, {"ids": None if ids is None else list(ids)}))
    connection.commit()
    return found
