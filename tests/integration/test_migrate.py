"""The program that brings the schema up to date waits in words, and never ends to begin anew."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psycopg2
import pytest
from psycopg2.extensions import parse_dsn

from claude_headspace import migrate
from claude_headspace.errors import SchemaMismatch
from claude_headspace.store import migrations
from claude_headspace.store.version import SCHEMA_VERSION
from conftest import PostgresServer
from harness import Log, wait_until

PROGRAM = [sys.executable, "-I", "-m", "claude_headspace.migrate"]


@contextmanager
def program(url: str, messages: Path) -> Iterator[subprocess.Popen[bytes]]:
    environ = {**os.environ, "CLAUDE_HEADSPACE_CONFIG": "/dev/null", "DATABASE_URL": url}
    with messages.open("wb") as said:
        process = subprocess.Popen(PROGRAM, env=environ, stderr=said)
    with process:
        try:
            yield process
        finally:
            process.kill()


def test_a_newer_schema_is_one_sentence_and_waited_for(database_url: str, tmp_path: Path) -> None:
    log = Log(database_url)
    log.rows("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(
        SchemaMismatch, match="has schema 9999, and this program knows only schemas up to"
    ):
        migrate.upgrade(database_url)
    messages = tmp_path / "messages"
    with program(database_url, messages) as process:
        wait_until(lambda: b"waiting: " in messages.read_bytes(), "what it waits for")
        assert process.poll() is None
        log.rows(f"UPDATE alembic_version SET version_num = '{SCHEMA_VERSION}'")
        assert process.wait(30) == 0
        told = messages.read_text()
    assert told.count("waiting: ") == 1
    assert told.index("waiting: ") < told.index("\n")


def test_an_address_with_several_hosts(postgres_server: PostgresServer) -> None:
    with postgres_server.database("template0") as url:
        name = parse_dsn(url)["dbname"]
        socket = quote(str(postgres_server.record.socket), safe="")
        several = f"postgresql://headspace@%2Fnowhere:5432,{socket}:5432/{name}"
        migrate.upgrade(several)
        assert Log(url).value("SELECT count(*) FROM events") == 0


def test_an_error_of_the_program_ends_it_for_good(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: object) -> int:
        raise LookupError("no such thing")

    monkeypatch.setattr(migrate, "upgrade_when_there", fail)
    monkeypatch.setattr(migrate, "die_with_parent", lambda: None)
    assert migrate.main() == migrate.INTERNAL_ERROR


def test_it_has_the_time_it_needs(empty_database_url: str) -> None:
    """Whatever the role's limits are: here it waits for another one that upgrades."""
    limits = quote("-c statement_timeout=300 -c lock_timeout=300")
    other = psycopg2.connect(empty_database_url)
    with other, ThreadPoolExecutor(1) as aside:
        other.cursor().execute("SELECT pg_advisory_xact_lock(%s)", (migrations._LOCK,))
        done = aside.submit(migrations.upgrade, f"{empty_database_url}&options={limits}")
        with pytest.raises(TimeoutError):
            done.result(1.0)
        other.rollback()
        done.result(60.0)
    other.close()
    assert Log(empty_database_url).value("SELECT count(*) FROM events") == 0
