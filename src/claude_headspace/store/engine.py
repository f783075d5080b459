"""SQLAlchemy engines for migrations and readers; the watcher does without."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, NullPool, create_engine
from sqlalchemy.exc import DBAPIError

from claude_headspace.embedded.location import sqlalchemy_url
from claude_headspace.store.failures import translate

CONNECT_TIMEOUT_SECONDS = 5


def make_engine(url: str) -> Engine:
    """An engine over psycopg2 for any form of PostgreSQL URL."""
    return create_engine(
        sqlalchemy_url(url),
        poolclass=NullPool,
        connect_args={"connect_timeout": CONNECT_TIMEOUT_SECONDS},
    )


@contextmanager
def reading(url: str) -> Iterator[Connection]:
    """A connection for queries; database errors come out as DatabaseError."""
    engine = make_engine(url)
    try:
        with engine.connect() as connection:
            yield connection
    except DBAPIError as error:
        raise translate(error.orig) from error
    finally:
        engine.dispose()
