"""What lines say of their session, without a database: nothing here asks for rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import cast
from uuid import UUID

from claude_headspace.sessions.lifecycle import Sessions
from claude_headspace.store.sessions import SessionRows, StoredSession

SESSION = UUID("11111111-2222-4333-8444-555555555555")


def fresh() -> StoredSession:
    return StoredSession(
        SESSION, None, 1, 1, "/p", "/p", True, None, None, None, None, {}, None, False, None, None,
        "here",
    )  # fmt: skip


def test_a_line_from_next_year_does_not_keep_its_session_open() -> None:
    sessions, session = Sessions(cast(SessionRows, None), "all"), fresh()
    next_year = datetime.now(UTC) + timedelta(days=365)
    sessions.saw_line(session, next_year, "a")
    assert session.last_seen_at is not None
    assert session.last_seen_at <= datetime.now(UTC)
