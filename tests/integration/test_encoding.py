"""Both ends of every connection speak UTF-8 and wait as the program says, whoever says what."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import text

from claude_headspace import migrate
from claude_headspace.errors import DatabaseUnavailable, WrongEncoding
from claude_headspace.store.connection import Database
from claude_headspace.store.engine import reading
from conftest import PostgresServer
from harness import Watcher, wait_until

FOREIGN = "-c client_encoding=LATIN1"


@pytest.fixture(params=["SQL_ASCII", "LATIN1"])
def narrow_url(request: pytest.FixtureRequest, postgres_server: PostgresServer) -> Iterator[str]:
    """A database as initdb makes it where no locale is set, or an old one."""
    name = f"narrow_{request.param.lower()}"
    postgres_server.execute(
        f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{request.param}'"
        " LC_COLLATE 'C' LC_CTYPE 'C'"
    )
    yield postgres_server.url(name)
    postgres_server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def asked_by_writer(url: str, statement: str) -> object:
    database = Database(lambda: url, application_name="test")
    try:
        return database.execute(statement)[0][0]
    finally:
        database.close()


def asked_by_reader(url: str, statement: str) -> object:
    with reading(url) as connection:
        return connection.scalar(text(statement))


BOTH = pytest.mark.parametrize("ask", [asked_by_writer, asked_by_reader])
Ask = Callable[[str, str], object]


@BOTH
def test_a_database_that_is_not_utf8_is_refused(narrow_url: str, ask: Ask) -> None:
    with pytest.raises(WrongEncoding, match=r"is encoded in (SQL_ASCII|LATIN1), and only UTF8"):
        ask(narrow_url, "SELECT 1")


def test_migrate_refuses_it_too_and_changes_nothing(narrow_url: str) -> None:
    with pytest.raises(WrongEncoding):
        migrate.upgrade(narrow_url)


def test_the_watcher_waits_and_says_why(narrow_url: str, tmp_path: Path) -> None:
    watcher = Watcher(tmp_path, narrow_url, tmp_path / "projects")
    with watcher.running():
        status = wait_until(lambda: watcher.status().get("reason") and watcher.status(), "a reason")
        assert status["state"] == "waiting"
        assert "only UTF8 can store every text" in status["reason"]


@BOTH
@pytest.mark.parametrize("by", ["PGCLIENTENCODING", "PGOPTIONS", "address", "options"])
def test_the_clients_encoding_is_utf8_whatever_says_otherwise(
    empty_database_url: str, ask: Ask, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = empty_database_url
    if by == "PGCLIENTENCODING":
        monkeypatch.setitem(os.environ, by, "LATIN1")
    elif by == "PGOPTIONS":
        monkeypatch.setitem(os.environ, by, FOREIGN)
    elif by == "address":
        url += "&client_encoding=LATIN1"
    else:
        url += "&options=-c%20client_encoding%3DLATIN1"
    assert ask(url, "SHOW client_encoding") == "UTF8"
    assert ask(url, "SELECT 'naïve ✅'::text") == "naïve ✅"


@BOTH
@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo"])
def test_moments_at_the_edge_of_the_calendar_come_back(
    empty_database_url: str, ask: Ask, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "PGTZ", zone)
    first = datetime(1, 1, 1, tzinfo=UTC)
    last = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    for moment in (first, last):
        assert ask(empty_database_url, f"SELECT '{moment.isoformat()}'::timestamptz") == moment


def test_waits_have_the_programs_limits_and_not_the_roles(database_url: str) -> None:
    limits = quote("-c statement_timeout=60s -c idle_session_timeout=60s -c lock_timeout=60s")
    url = f"{database_url}&options={limits}"
    for name in ("statement_timeout", "idle_session_timeout"):
        assert asked_by_writer(url, f"SHOW {name}") == "0"
    assert [ask(url, "SHOW lock_timeout") for ask in (asked_by_writer, asked_by_reader)] == [
        "10s"
    ] * 2


@BOTH
def test_an_address_that_cannot_be_read_is_not_repeated(ask: Ask) -> None:
    with pytest.raises(DatabaseUnavailable) as caught:
        ask("postgresql://u:hush%zz@localhost/d", "SELECT 1")
    assert "the address of the database cannot be read" in str(caught.value)
    assert "hush" not in str(caught.value)
