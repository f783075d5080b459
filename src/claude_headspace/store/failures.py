"""Driver errors translated: what may pass by itself, and what Postgres will never take."""

from __future__ import annotations

import psycopg2

from claude_headspace.address import told_by_driver
from claude_headspace.errors import (
    DatabaseError,
    DatabaseRefused,
    DatabaseUnavailable,
    SchemaMismatch,
)

# SQLSTATE classes that speak about this very event: data exception, integrity violation, program
# limit exceeded. Everything else (connection, privileges, missing tables, full disk …) holds.
_PERMANENT_CLASSES = ("22", "23", "54")
# A server that works says these of the moment: rollback of a transaction, too few resources,
# an object in use, a statement that was cancelled. Its connection is as good as before.
_OF_THE_MOMENT = ("40", "53", "55", "57014")
FOREIGN_KEY_VIOLATION = "23503"
_NO_RIGHT = "42501"
# A table, a column or a function that is not there.
_OTHER_SCHEMA = ("42P01", "42703", "42883")


def translate(error: BaseException | None) -> DatabaseError:
    """The error of ours for a psycopg2 error."""
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
            f"the role of this address may not do that: {told}{code}: see `claude-headspace grants`"
        )
    return DatabaseUnavailable(f"the database cannot take it now: {told}{code}")


def passes_in_place(error: BaseException | None) -> bool:
    """Whether the same may succeed later on the same connection."""
    sqlstate = getattr(error, "pgcode", None)
    return bool(sqlstate) and str(sqlstate).startswith(_OF_THE_MOMENT)


def _told(error: BaseException | None) -> str:
    """One line: what the server says, without the context of our own SQL."""
    diagnostics = getattr(error, "diag", None)
    primary = getattr(diagnostics, "message_primary", None)
    if primary:
        detail = getattr(diagnostics, "message_detail", None)
        return f"{primary} ({detail})" if detail else str(primary)
    return "no reason" if error is None else told_by_driver(error)


DriverError = (psycopg2.Error, ValueError)
