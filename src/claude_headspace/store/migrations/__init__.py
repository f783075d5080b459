"""Alembic migrations of the event log, shipped in the package."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from claude_headspace.store.engine import make_engine

# Any constant that nothing else in this database locks on.
_LOCK = 7_221_954_014_551


def upgrade(url: str, revision: str = "head") -> None:
    """Bring the schema of the database to this version; concurrent calls wait for each other.

    Raises DatabaseUnavailable when the database cannot be reached.
    """
    engine = make_engine(url)
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            command.upgrade(alembic_config(connection), revision)
    finally:
        engine.dispose()


def alembic_config(connection: Connection) -> Config:
    """Alembic's configuration for running our migrations over an open connection."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
