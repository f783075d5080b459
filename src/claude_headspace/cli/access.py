"""Getting at the log that the configuration names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from claude_headspace.errors import DatabaseUnavailable, SchemaMismatch

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection

    from claude_headspace.config import Config

_NO_TABLE = "(SQLSTATE 42P01)"


@contextmanager
def open_log(config: Config) -> Iterator[Connection]:
    """A connection to the log's database."""
    from claude_headspace.embedded.location import database_url
    from claude_headspace.store.engine import reading

    try:
        with reading(database_url(config)) as connection:
            yield connection
    except DatabaseUnavailable as error:
        if _NO_TABLE in str(error):
            raise SchemaMismatch(
                "the database holds no event log: run `claude-headspace migrate` first"
            ) from error
        raise


def configured_inbox() -> Path:
    """The inbox of the instance that the configuration describes."""
    from claude_headspace.config import load_config

    return inbox_of(load_config())


def inbox_of(config: Config) -> Path:
    """Where other programs leave events for this instance."""
    return config.state.directory / "inbox"
