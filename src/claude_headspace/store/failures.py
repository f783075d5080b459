"""Translating driver errors into temporary ones and refusals that never change."""

from __future__ import annotations

import psycopg2

from claude_headspace.address import told_by_driver
from claude_headspace.errors import (
    DatabaseError,
    DatabaseRefused,
    DatabaseUnavailable,
    SchemaMismatch,
)

# SQLSTATE classes about the event itself: data exception, integrity violation, program limit
# exceeded. All others (connection, privileges, missing tables, full disk …) stop all writes.
_PERMANENT_CLASSES = ("22", "23", "54")
# Temporary errors of a working server: transaction rollback, insufficient resources, object in
# use, statement cancelled. The connection remains usable.
_OF_THE_MOMENT = ("40", "53", "55", "57014")
FOREIGN_KEY_VIOLATION = "23503"
_NO_RIGHT = "42501"
# A table, a column or a function that is not there.
_OTHER_SCHEMA = ("42P01", "42703", "42883")


def translate(error: BaseException | None) -> DatabaseError:
    """Our error for a psycopg2 error."""
    sqlstate = getattr(error, "pgcode", None)
    told = _told(error)
    if sqlstate and sqlstate[:2] in _PERMANENT_CLASSES:
        return DatabaseRefused(f"Postgres refuses it: {told} (SQLSTATE {sqlstate})", sqlstate)
    if isinstance(error, ValueError):
        # psycopg2 itself refuses a string with a NUL character.
        return DatabaseRefused(f"the driver refuses it: {told}", "22021")
    code = f" (SQLSTATE {sqlstate})" if sqlstate else ""
    if sqlstate in _OTHER_SCHEMA:
        return SchemaMismatch(
            f"the database holds no event log of this version: {told}{code}: run"
            " `claude-headspace migrate`"
        )
    if sqlstate == _NO_RIGHT:
        return DatabaseUnavailable(
            f"the role of this address lacks the privilege for this: {told}{code}: see"
            " `claude-headspace grants`"
        )
    return DatabaseUnavailable(f"the database cannot do this now: {told}{code}")


def passes_in_place(error: BaseException | None) -> bool:
    """Whether the same statement may succeed later on the same connection."""
    sqlstate = getattr(error, "pgcode", None)
    return bool(sqlstate) and str(sqlstate).startswith(_OF_THE_MOMENT)


def _told(error: BaseException | None) -> str:
    """The server's message on one line, without the context of our SQL."""
    diagnostics = getattr(error, "diag", None)
    primary = getattr(diagnostics, "message_primary", None)
    if primary:
        detail = getattr(diagnostics, "message_detail", None)
        return f"{primary} ({detail})" if detail else str(primary)
    return "no reason given" if error is None else told_by_driver(error)


DriverError = (psycopg2.Error, ValueError)
