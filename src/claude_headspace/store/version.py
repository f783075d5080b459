"""The schema version this program knows, the revision of the newest migration, and its check."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from claude_headspace.errors import SchemaMismatch

if TYPE_CHECKING:
    from claude_headspace.store.connection import Database

SCHEMA_VERSION = "0012"
VERSION = "SELECT version_num FROM alembic_version"


def require_schema(database: Database) -> None:
    """Raises SchemaMismatch if the log has another version."""
    require_version(database.execute(VERSION))


def require_version(rows: Sequence[Any]) -> None:
    """The same, for the rows that VERSION returned."""
    found = rows[0][0] if rows else "none"
    if found == SCHEMA_VERSION:
        return
    newer = rows and found > SCHEMA_VERSION
    remedy = "update this program" if newer else "run `claude-headspace migrate`"
    raise SchemaMismatch(
        f"the database has schema {found}, this program knows {SCHEMA_VERSION}: {remedy}"
    )
