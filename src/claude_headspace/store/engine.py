"""SQLAlchemy engines for migrations and readers; the watcher does not use them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, NullPool, create_engine
from sqlalchemy.exc import DBAPIError

from claude_headspace.store.failures import translate
from claude_headspace.store.opener import CLIENT_ENCODING, open_on, require_utf8


def make_engine(url: str) -> Engine:
    """An engine over psycopg2 for any form of PostgreSQL URL, including several hosts."""
    return create_engine(
        "postgresql+psycopg2://", creator=lambda: open_connection(url), poolclass=NullPool
    )


def open_connection(url: str) -> Any:
    """A psycopg2 connection that uses UTF-8 and UTC; raises WrongEncoding."""
    connection = open_on(url, **CLIENT_ENCODING)
    try:
        require_utf8(connection)
        # In other time zones, the first and last moments have years that Python does not support.
        with connection.cursor() as cursor:
            cursor.execute("SET timezone = 'UTC'")
        connection.autocommit = False
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def reading(url: str) -> Iterator[Connection]:
    """A connection for queries; errors of the database are raised as DatabaseError."""
    engine = make_engine(url)
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("SET lock_timeout = '10s'")
            connection.commit()
            yield connection
    except DBAPIError as error:
        raise translate(error.orig) from error
    finally:
        engine.dispose()
