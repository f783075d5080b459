"""Access to the log that the configuration names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from claude_headspace.address import mask_password
from claude_headspace.errors import DatabaseUnavailable, SchemaMismatch

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection

    from claude_headspace.config import Config
    from claude_headspace.read.connection import Reader
    from claude_headspace.read.paging import Page

Row = TypeVar("Row")


def configured(environ: Mapping[str, str] | None = None) -> Config:
    """The settings in effect in this environment."""
    from claude_headspace.config import load_config

    return load_config(environ)


def inbox_of(config: Config) -> Path:
    """Where other programs leave events for this instance."""
    return config.state.directory / "inbox"


@contextmanager
def open_log(config: Config, *, writing: bool = False) -> Iterator[Connection]:
    """A connection to the log's database: to the address for reading, unless `writing`."""
    from claude_headspace.embedded.location import database_url, reader_url
    from claude_headspace.store.engine import reading
    from claude_headspace.store.version import VERSION, require_version

    url = database_url(config) if writing else reader_url(config)
    with reading(url) as connection:
        require_version(connection.exec_driver_sql(VERSION).all())
        connection.rollback()
        yield connection


@contextmanager
def open_reader(config: Config, seconds: float = 5) -> Iterator[Reader]:
    """The read-only connection that the page and the API use; `seconds` limits each query."""
    from claude_headspace.embedded.location import reader_url
    from claude_headspace.read.connection import ReadPool

    pool = ReadPool(lambda: reader_url(config), lambda: config.state.machine, 1, seconds)
    try:
        with pool.reading() as reader:
            try:
                reader.connect()
            except SchemaMismatch:
                raise
            except DatabaseUnavailable as error:
                told = f"{error} ({mask_password(str(reader_url(config)))})"
                raise type(error)(told) from error
            yield reader
    finally:
        pool.close_idle(0)


def all_pages(
    ask: Callable[[Reader, Any], Page[Row]], reader: Reader, asked: Any, limit: int | None
) -> Iterator[Row]:
    """The rows of all pages, up to the limit."""
    from msgspec.structs import replace

    from claude_headspace.read.paging import MOST_ROWS

    left = limit
    while left is None or left > 0:
        rows = MOST_ROWS if left is None else min(left, MOST_ROWS)
        page = ask(reader, replace(asked, limit=rows))
        yield from page.rows
        if page.next is None:
            return
        left = None if left is None else left - len(page.rows)
        asked = replace(asked, cursor=page.next)
