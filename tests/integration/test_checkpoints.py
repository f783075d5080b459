"""A checkpoint is stored where what it was read from still holds, and nowhere else."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from claude_headspace.errors import CommitRefused, DatabaseUnavailable
from claude_headspace.events.event import Event
from claude_headspace.machine import id_of_name
from claude_headspace.store.checkpoints import Checkpoints, StoredSource
from claude_headspace.store.connection import Database
from claude_headspace.store.writer import EventWriter
from claude_headspace.transcripts.checkpoint import Checkpoint
from harness import Log

PATH = "/p/a.jsonl"


@pytest.fixture
def log(database_url: str) -> Log:
    return Log(database_url)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = Database(lambda: database_url, application_name="test", by_itself=False)
    made.connect()
    yield made
    made.close()


@pytest.fixture
def checkpoints(database: Database) -> Checkpoints:
    return Checkpoints(database, id_of_name("h"))


def read_to(source: StoredSource, offset: int) -> StoredSource:
    return replace(source, checkpoint=Checkpoint(offset, 1, 2, 3, checksum=offset * 7))


def event() -> Event:
    payload = {"hook_type": "Stop", "claude_session_id": "s", "working_directory": "/w"}
    return Event("hook_received", datetime(2025, 6, 1, tzinfo=UTC), payload, uuid4())


def offset(log: Log) -> object:
    return log.value("SELECT committed_offset FROM checkpoints")


def fill(log: Log, files: int) -> None:
    log.rows(
        "INSERT INTO checkpoints (machine, path, device, inode)"
        f" SELECT '{id_of_name('h')}', '/p/' || n || '.jsonl', 1, n"
        f" FROM generate_series(1, {files}) n ON CONFLICT DO NOTHING"
    )


def peak_of_all(checkpoints: Checkpoints, files: int) -> int:
    tracemalloc.start()
    try:
        inodes = sum(source.inode for source in checkpoints.committed())
        assert inodes == files * (files + 1) // 2
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_all_sources_need_no_more_memory_when_they_are_more(
    checkpoints: Checkpoints, log: Log
) -> None:
    checkpoints.create(PATH)
    fill(log, 3000)
    half = peak_of_all(checkpoints, 3000)
    fill(log, 6000)
    assert peak_of_all(checkpoints, 6000) < 1.3 * half


def test_one_commit_after_the_other(checkpoints: Checkpoints, log: Log) -> None:
    first = checkpoints.commit(read_to(checkpoints.create(PATH), 10))
    checkpoints.commit(read_to(first, 20))
    assert offset(log) == 20
    found = checkpoints.find(PATH)
    assert found is not None
    begun = checkpoints.commit(read_to(found.next_generation(), 5))
    checkpoints.commit(read_to(begun, 6))
    assert log.rows("SELECT committed_offset, generation FROM checkpoints") == [(6, 2)]


def test_not_where_the_row_has_gone_back_meanwhile(checkpoints: Checkpoints, log: Log) -> None:
    source = checkpoints.commit(read_to(checkpoints.create(PATH), 10))
    log.rows("UPDATE checkpoints SET committed_offset = 0, checksum = 0")
    with pytest.raises(DatabaseUnavailable, match="was changed"):
        checkpoints.commit(read_to(source, 20))
    with pytest.raises(DatabaseUnavailable, match="was changed"):
        checkpoints.reread(replace(source, reread_bytes=5), [])
    assert offset(log) == 0


def test_not_where_the_row_has_other_contents_by_now(checkpoints: Checkpoints, log: Log) -> None:
    source = checkpoints.commit(read_to(checkpoints.create(PATH), 10))
    log.rows("UPDATE checkpoints SET checksum = 1")
    with pytest.raises(DatabaseUnavailable, match="was changed"):
        checkpoints.commit(read_to(source, 20))
    assert offset(log) == 10


def test_not_where_another_generation_has_begun(checkpoints: Checkpoints, log: Log) -> None:
    source = checkpoints.commit(read_to(checkpoints.create(PATH), 10))
    log.rows("UPDATE checkpoints SET generation = 2")
    with pytest.raises(DatabaseUnavailable, match="was changed"):
        checkpoints.commit(read_to(source, 20))
    assert offset(log) == 10


def test_nothing_over_another_connection_than_it_was_read_over(
    checkpoints: Checkpoints, database: Database, log: Log
) -> None:
    source = checkpoints.create(PATH)
    database.close()
    database.connect()
    with pytest.raises(DatabaseUnavailable, match="was lost"):
        checkpoints.commit(read_to(source, 10), statements=["DELETE FROM checkpoints"])
    assert offset(log) == 0
    found = checkpoints.find(PATH)
    assert found is not None
    checkpoints.commit(read_to(found, 10))
    assert offset(log) == 10


def test_no_event_over_another_connection_either(database: Database, log: Log) -> None:
    writer = EventWriter(database)
    precondition = database.precondition()
    assert writer.write_all([event()], precondition)[0].outcome == "written"
    database.close()
    database.connect()
    assert writer.write_all([event()], precondition)[0].outcome == "failed"
    with pytest.raises(DatabaseUnavailable, match="was lost"):
        writer.write_or_raise([event()], precondition)
    assert log.value("SELECT count(*) FROM events") == 1


def test_a_later_commit_is_answered_before_anything_else(
    checkpoints: Checkpoints, database: Database, log: Log
) -> None:
    told: list[int] = []
    first = checkpoints.commit(read_to(checkpoints.create(PATH), 10), later=lambda: told.append(10))
    assert told == []
    checkpoints.commit(read_to(first, 20), later=lambda: told.append(20))
    assert told == [10]
    database.finish_writes()
    assert (told, offset(log)) == ([10, 20], 20)


def test_a_later_commit_fails_when_it_is_answered(
    checkpoints: Checkpoints, database: Database, log: Log
) -> None:
    told: list[int] = []
    source = checkpoints.create(PATH)
    log.rows("UPDATE checkpoints SET checksum = 1")
    checkpoints.commit(read_to(source, 20), later=lambda: told.append(20))
    with pytest.raises(DatabaseUnavailable, match="was changed"):
        database.finish_writes()
    checkpoints.commit(source, statements=["SELECT 1 / 0"], later=lambda: told.append(20))
    with pytest.raises(CommitRefused, match="division by zero"):
        database.execute("SELECT 2")
    assert database.execute("SELECT 2") == [(2,)]
    checkpoints.commit(source, statements=["SELECT 3"], later=lambda: told.append(20))
    database.close()
    database.finish_writes()
    assert told == []
