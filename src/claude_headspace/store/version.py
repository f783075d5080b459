"""The schema version this program knows, the revision of the newest migration, and its check."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from claude_headspace.errors import SchemaMismatch

if TYPE_CHECKING:
    from claude_headspace.store.connection import Database

SCHEMA_VERSION = "0012"
VERSION = "SELECT version_num FROM alembic_version"
# To ask a table that is not there would leave an error in the server's log.
_IS_THERE = "SELECT to_regclass('alembic_version') IS NOT NULL"


def require_schema(database: Database, settings: str = "", question: str = VERSION) -> None:
    """Raises SchemaMismatch if the log has another version; `question` begins like VERSION."""
    is_there = database.execute(settings + _IS_THERE)[0][0]
    require_version(database.execute(question) if is_there else ())


def require_version(rows: Sequence[Any]) -> None:
    """The same, for the rows that VERSION returned."""
    if not rows:
        raise SchemaMismatch(
            "the database holds no event log of this version: run `claude-headspace migrate`"
        )
    found = rows[0][0]
    if found == SCHEMA_VERSION:
        return
    newer = found > SCHEMA_VERSION
    remedy = "update this program" if newer else "run `claude-headspace migrate`"
    raise SchemaMismatch(
        f"the database has schema {found}, this program knows {SCHEMA_VERSION}: {remedy}"
    )
