"""What a connection must show before the watcher works on it: the right schema, and no rival."""

from __future__ import annotations

from claude_headspace.errors import DatabaseUnavailable, SchemaMismatch
from claude_headspace.store.connection import Database
from claude_headspace.store.sessions import REGISTRATION_CHANNEL
from claude_headspace.store.version import SCHEMA_VERSION

APPLICATION_NAME = "claude-headspace watcher"


class Lease:
    """Held by one connection per host and database, for as long as the connection lasts."""

    def __init__(self, host: str) -> None:
        self._host = host

    def take(self, database: Database) -> None:
        """Raises DatabaseUnavailable while the schema does not fit or another watcher works."""
        self._check_schema(database)
        rows = database.execute(
            "SELECT pg_try_advisory_lock(hashtext('claude_headspace.watcher'), hashtext(%s))",
            (self._host,),
        )
        if not rows[0][0]:
            raise DatabaseUnavailable(self._rival(database))
        database.execute(f"LISTEN {REGISTRATION_CHANNEL}")

    def _check_schema(self, database: Database) -> None:
        if database.execute("SELECT to_regclass('alembic_version')")[0][0] is None:
            raise SchemaMismatch(
                f"the database has no event log yet (this program knows schema {SCHEMA_VERSION}):"
                " run claude-headspace migrate"
            )
        rows = database.execute("SELECT version_num FROM alembic_version")
        found = rows[0][0] if rows else "none"
        if found != SCHEMA_VERSION:
            raise SchemaMismatch(
                f"the database has schema {found}, this program knows {SCHEMA_VERSION}: run"
                " claude-headspace migrate with the newer of the two versions, or update this one"
            )

    def _rival(self, database: Database) -> str:
        rows = database.execute(
            "SELECT a.pid, a.backend_start FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
            " WHERE l.locktype = 'advisory' AND l.granted"
            " AND l.classid = hashtext('claude_headspace.watcher')::oid"
            " AND l.objid = hashtext(%s)::oid",
            (self._host,),
        )
        since = f" (its connection has been open since {rows[0][1]:%H:%M:%S} UTC)" if rows else ""
        return f"another watcher works for host {self._host!r} on this database{since}: waiting"
