"""Resolving the names of sessions, projects and hosts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from claude_headspace.errors import SelectionError
from claude_headspace.read.connection import Reader
from claude_headspace.read.paging import Placed, read_cursor

_UUID_DIGITS = 32
_SHOWN_CHOICES = 5
_SESSIONS = (
    "SELECT session_uuid::text, id FROM agents WHERE session_uuid BETWEEN %s AND %s"
    " ORDER BY session_uuid LIMIT %s"
)
# Sessions that have files, but no line that names a session.
_FILES = (
    "SELECT DISTINCT lower(m[1]), NULL::int FROM checkpoints, regexp_match(path,"
    r" '(?i)/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.jsonl$') AS m"
    " WHERE m[1]::uuid BETWEEN %s AND %s ORDER BY 1 LIMIT %s"
)
_NAMED = (
    "{label} = %(host)s OR (length(%(host)s) >= 8 AND starts_with({id}::text, lower(%(host)s)))"
)
_MACHINES = f"SELECT id::text FROM machines WHERE {_NAMED.format(label='label', id='id')}"
_PROJECTS = (
    "SELECT id, path FROM places WHERE (%(host)s::text IS NULL"
    f" OR {_NAMED.format(label='host', id='machine')})"
    " AND (%(name)s::text IS NULL OR path = %(name)s OR right(path, %(length)s) = %(tail)s)"
)


class SessionNamed(Struct, frozen=True):
    """A session; `agent_id` is None if it has no row."""

    uuid: str
    agent_id: int | None


def find_session(reader: Reader, name: str) -> SessionNamed:
    """The session of this uuid, known or not, or the one whose uuid starts with this text.

    The name of a transcript is the uuid of its session, too.
    """
    digits = name.lower().replace("-", "")
    if not re.fullmatch(f"[0-9a-f]{{1,{_UUID_DIGITS}}}", digits):
        raise SelectionError(f"{name!r} is not a session: give a uuid or the start of one")
    first, last = (str(UUID(digits.ljust(_UUID_DIGITS, end))) for end in "0f")
    asked = (first, last, _SHOWN_CHOICES + 1)
    found = reader.fetch(SessionNamed, _SESSIONS, asked)
    if not found and len(digits) == _UUID_DIGITS:
        return SessionNamed(first, None)
    found = found or reader.fetch(SessionNamed, _FILES, asked)
    _require_one(f"session whose uuid begins with {name}", [each.uuid for each in found])
    return found[0]


def find_projects(reader: Reader, name: str | None, host: str | None = None) -> tuple[int, ...]:
    """Ids of the project (one per host) with this path, or with the one path that ends so.

    Without a name: all projects of the host, which is a label or the start of a machine's id.
    """
    tail = None if name is None else "/" + name.strip("/")
    values = {"name": name, "tail": tail, "length": len(tail or ""), "host": host}
    rows = reader.rows(_PROJECTS, values)
    if name is None:
        if not rows:
            raise SelectionError(f"the log has no host named {host}")
        return tuple(row[0] for row in rows)
    if same := [row[0] for row in rows if row[1] == name]:
        return tuple(same)
    _require_one(f"project named {name}", sorted({row[1] for row in rows}))
    return tuple(row[0] for row in rows)


def find_machines(reader: Reader, host: str) -> list[str]:
    """Ids of the machines with this label, or the one whose id begins so."""
    rows = reader.rows(_MACHINES, {"host": host})
    if not rows:
        raise SelectionError(f"the log has no host named {host}")
    return [row[0] for row in rows]


def filters_on(at: str, key: str, session: str, project: str, agent: str = "") -> str:
    """The filters of a question and the start of its page, as SQL over these columns."""
    by_index = f" AND (%(agent)s::int IS NULL OR {agent} = %(agent)s)" if agent else ""
    return (
        f"(%(session)s::uuid IS NULL OR {session} = %(session)s){by_index}"
        f" AND (%(projects)s::int[] IS NULL OR {project} = ANY (%(projects)s))"
        f" AND (%(since)s::timestamptz IS NULL OR {at} >= %(since)s)"
        f" AND (%(until)s::timestamptz IS NULL OR {at} < %(until)s)"
        f" AND (%(at)s::timestamptz IS NULL"
        f" OR {at} <= %(at)s AND ({at}, {key}) < (%(at)s, %(key)s))"
    )


def filters_of(reader: Reader, asked: Placed, key: type | None = int) -> dict[str, Any]:
    """The values of `filters_on`, and how many `rows` to read; None filters nothing.

    `key`: the type of the column in the cursor; None for a cursor of another kind.
    """
    name = getattr(asked, "session", None)
    session = find_session(reader, name) if name is not None else None
    named = asked.project is not None or asked.host is not None
    at, last = read_cursor(asked.cursor, datetime, key) if key and asked.cursor else (None, None)
    return {
        "session": session and session.uuid, "agent": session and session.agent_id,
        "projects": list(find_projects(reader, asked.project, asked.host)) if named else None,
        "since": asked.since, "until": asked.until, "at": at, "key": last,
        "rows": asked.limit + 1,
    }  # fmt: skip


def paths_named(reader: Reader, *names: str) -> tuple[str, ...]:
    """All project paths that equal one of these names, or else end with it."""
    tails = ["/" + name.strip("/") for name in names]
    found = reader.rows(
        "SELECT DISTINCT path, path = ANY (%(names)s) FROM projects WHERE path = ANY (%(names)s)"
        " OR EXISTS (SELECT FROM unnest(%(tails)s) AS t (tail) WHERE right(path, length(tail)) ="
        " tail) ORDER BY path",
        {"names": list(names), "tails": tails},
    )
    if not found:
        raise SelectionError(f"the log has no project named {names[0]}")
    return tuple(row[0] for row in found if row[1] or not any(each[1] for each in found))


def sessions_of(reader: Reader, project_ids: Sequence[int]) -> tuple[str, ...]:
    """The sessions of these projects."""
    asked = "SELECT session_uuid::text FROM agents WHERE project_id = ANY (%s)"
    return tuple(row[0] for row in reader.rows(asked, [list(project_ids)]))


def sessions_silent_since(reader: Reader, moment: datetime) -> tuple[str, ...]:
    """The sessions without a line after this moment."""
    asked = "SELECT session_uuid::text FROM agents WHERE last_seen_at < %s"
    return tuple(row[0] for row in reader.rows(asked, [moment]))


def _require_one(what: str, found: list[str]) -> None:
    if not found:
        raise SelectionError(f"the log has no {what}")
    if len(found) > 1:
        listed = ", ".join(found[:_SHOWN_CHOICES])
        more = " and others" if len(found) > _SHOWN_CHOICES else ""
        raise SelectionError(
            f"there is more than one {what}: {listed}{more}; give more of the name"
        )
