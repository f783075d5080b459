"""Driver errors translated: what may pass by itself, and what Postgres will never take."""

from __future__ import annotations

import psycopg2

from claude_headspace.errors import DatabaseError, DatabaseRefused, DatabaseUnavailable

# SQLSTATE classes that speak about this very event: data exception, integrity violation.
# Everything else (connection, privileges, missing tables, full disk …) holds.
_PERMANENT_CLASSES = ("22", "23")
FOREIGN_KEY_VIOLATION = "23503"


def translate(error: BaseException | None) -> DatabaseError:
    """The error of ours for a psycopg2 error."""
    sqlstate = getattr(error, "pgcode", None)
    told = " ".join(str(error).split()) or type(error).__name__
    if sqlstate and sqlstate[:2] in _PERMANENT_CLASSES:
        return DatabaseRefused(f"Postgres refuses it: {told} (SQLSTATE {sqlstate})", sqlstate)
    if isinstance(error, ValueError):
        # psycopg2 itself refuses a string with a NUL character.
        return DatabaseRefused(f"the driver refuses it: {told}", "22021")
    code = f" (SQLSTATE {sqlstate})" if sqlstate else ""
    return DatabaseUnavailable(f"the database does not take it now: {told}{code}")


DriverError = (psycopg2.Error, ValueError)
