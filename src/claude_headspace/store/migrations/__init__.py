"""Alembic migrations of the event log, shipped in the package."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from alembic import command, op
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from claude_headspace.errors import SchemaMismatch
from claude_headspace.store.engine import make_engine
from claude_headspace.store.version import SCHEMA_VERSION

# A constant that nothing else in this database uses as a lock.
_LOCK = 7_221_954_014_551
# An index of a large log may take minutes, whatever limit the role or the server has.
_PATIENTLY = "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0"
# New tables get the owner of the existing ones, if the migrating role is a member of it.
_AS_OWNER = (
    "SELECT set_config('role', tableowner, true) FROM pg_tables WHERE tablename ="
    " 'alembic_version' AND schemaname = current_schema() AND pg_has_role(tableowner, 'MEMBER')"
)


def upgrade(url: str, revision: str = "head") -> None:
    """Upgrade the schema of the database to this version; concurrent calls wait for each other.

    Raises SchemaMismatch if it has a version that this program does not know.
    """
    engine = make_engine(url)
    try:
        with engine.begin() as connection:
            connection.execute(text(_PATIENTLY))
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            settings = alembic_config(connection)
            _require_known(connection, settings)
            connection.execute(text(_AS_OWNER))
            command.upgrade(settings, revision)
    finally:
        engine.dispose()


def _require_known(connection: Connection, settings: Config) -> None:
    known = {script.revision for script in ScriptDirectory.from_config(settings).walk_revisions()}
    if connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
        return
    found = connection.scalars(text("SELECT version_num FROM alembic_version"))
    if unknown := set(found) - known:
        raise SchemaMismatch(
            f"the database has schema {', '.join(sorted(unknown))}, and this program knows only"
            f" schemas up to {SCHEMA_VERSION}: update the program"
        )


def alembic_config(connection: Connection) -> Config:
    """Alembic's configuration to run our migrations over an open connection."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def from_sql(*names: str, **words: str) -> Callable[[], None]:
    """A step that runs these files in order; `words` replace their names in braces."""

    def run() -> None:
        for name in names:
            statements = (Path(__file__).parent / "sql" / f"{name}.sql").read_text("utf-8")
            for word, value in words.items():
                statements = statements.replace(f"{{{word}}}", value)
            op.execute(statements)

    return run
