"""A reader of the log sees every event once, in order of ids, and none that is taken back."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC
from functools import partial
from pathlib import Path

import psycopg2
import pytest

from claude_headspace.embedded import cluster
from claude_headspace.errors import CursorAhead, DatabaseUnavailable, NotPrimary
from claude_headspace.events.event import Event
from claude_headspace.store import migrations
from claude_headspace.store.follower import Follower
from claude_headspace.store.writer import EventWriter
from servers import (
    embedded_environment,
    running_server,
    stop,
    temporary_state,
    wait_for_server,
)

PATIENCE_SECONDS = 30.0
INSERT = (
    "INSERT INTO events (timestamp, event_type, payload, session_uuid, event_key)"
    " VALUES (now(), %s, %s, %s, %s) RETURNING id"
)
NOBODY = str(uuid.UUID(int=0))


def connect(url: str, *, durable: bool = True) -> psycopg2.extensions.connection:
    connection = psycopg2.connect(url)
    with connection.cursor() as cursor:
        cursor.execute(f"SET synchronous_commit = {'on' if durable else 'off'}")
    connection.commit()
    return connection


def insert(connection: psycopg2.extensions.connection, event_type: str = "hook_received") -> int:
    with connection.cursor() as cursor:
        cursor.execute(INSERT, (event_type, json.dumps({}), NOBODY, str(uuid.uuid4())))
        row = cursor.fetchone()
    assert row is not None
    return int(row[0])


def insert_committed(connection: psycopg2.extensions.connection) -> int:
    event_id = insert(connection)
    connection.commit()
    return event_id


@pytest.fixture
def follower(database_url: str) -> Iterator[Follower]:
    follower = Follower.at(database_url)
    yield follower
    follower.close()


def read_ids(follower: Follower) -> list[int]:
    return [event.id for event in follower.read().events]


def in_background(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


def test_an_empty_log_has_nothing_to_read(follower: Follower) -> None:
    page = follower.read()
    assert (page.events, page.cursor) == ([], 0)


def test_pages_follow_one_another_and_a_saved_cursor_goes_on(
    database_url: str, follower: Follower
) -> None:
    connection = connect(database_url)
    ids = [insert_committed(connection) for _ in range(25)]
    small = Follower.at(database_url, page_events=10)
    pages = [small.read() for _ in range(4)]
    small.close()
    assert [len(page.events) for page in pages] == [10, 10, 5, 0]
    assert [event.id for page in pages for event in page.events] == ids

    later = Follower.at(database_url, pages[0].cursor)
    assert read_ids(later) == ids[10:]
    later.close()
    connection.close()


def test_what_is_read_is_the_whole_event(database_url: str, follower: Follower) -> None:
    from datetime import datetime

    when = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
    payload = {"hook_type": "Stop", "claude_session_id": "a", "working_directory": "/b"}
    event = Event("hook_received", when, payload, uuid.uuid4())
    writer = EventWriter.at(database_url)
    result = writer.write(event)
    writer.close()
    (found,) = follower.read().events
    assert (found.id, found.type, found.timestamp) == (result.event_id, event.type, when)
    assert (found.payload, found.key, found.session_uuid) == (
        payload,
        event.key,
        event.session_uuid,
    )


def test_an_id_that_becomes_visible_late_is_waited_for(
    database_url: str, follower: Follower
) -> None:
    slow, quick = connect(database_url), connect(database_url)
    first = insert(slow)
    second = insert_committed(quick)
    seen: list[int] = []
    reading = in_background(lambda: seen.extend(read_ids(follower)))
    reading.join(0.3)
    assert reading.is_alive()
    assert seen == []

    third = insert_committed(quick)
    slow.commit()
    reading.join(PATIENCE_SECONDS)
    assert seen == [first, second]
    assert read_ids(follower) == [third]
    slow.close()
    quick.close()


def test_an_asynchronous_commit_that_was_waited_for_is_on_the_disk_too(
    database_url: str, follower: Follower
) -> None:
    slow, quick = connect(database_url, durable=False), connect(database_url)
    ids = [insert(slow), insert_committed(quick)]
    seen: list[int] = []
    reading = in_background(lambda: seen.extend(read_ids(follower)))
    reading.join(0.1)
    with quick.cursor() as cursor:
        cursor.execute("SELECT pg_current_wal_insert_lsn()::text")
        before_commit = cursor.fetchone()
        slow.commit()
        reading.join(PATIENCE_SECONDS)
        assert seen == ids
        cursor.execute("SELECT pg_current_wal_flush_lsn() > %s::pg_lsn", before_commit)
        assert cursor.fetchone() == (True,)
    slow.close()
    quick.close()


def test_an_id_that_is_given_up_is_passed(database_url: str, follower: Follower) -> None:
    slow, quick = connect(database_url), connect(database_url)
    insert(slow)
    second = insert_committed(quick)
    slow.rollback()
    assert read_ids(follower) == [second]
    slow.close()
    quick.close()


def test_skipping_to_the_end_passes_what_was_begun_by_then(
    database_url: str, follower: Follower
) -> None:
    slow, quick = connect(database_url), connect(database_url)
    ids = [insert(slow), insert_committed(quick)]
    skipped: list[int] = []
    skipping = in_background(lambda: skipped.append(follower.skip_to_end()))
    skipping.join(0.3)
    assert skipping.is_alive()
    slow.commit()
    skipping.join(PATIENCE_SECONDS)
    assert skipped == [ids[-1]]
    assert read_ids(follower) == []
    later = insert_committed(slow)
    assert read_ids(follower) == [later]
    slow.close()
    quick.close()


def test_transactions_that_write_no_events_hold_nobody_up(
    database_url: str, follower: Follower
) -> None:
    idle, writing, quick = (connect(database_url) for _ in range(3))
    with idle.cursor() as cursor:
        cursor.execute("SELECT count(*), txid_current() FROM events")
    with writing.cursor() as cursor:
        cursor.execute("INSERT INTO projects (machine, path) VALUES (gen_random_uuid(), 'b')")
    event_id = insert_committed(quick)
    assert read_ids(follower) == [event_id]
    for connection in (idle, writing, quick):
        connection.close()


def test_a_writer_that_began_later_holds_nobody_up(database_url: str) -> None:
    slow, quick = connect(database_url), connect(database_url)
    follower = Follower.at(database_url, page_events=1)
    ids = [insert_committed(quick) for _ in range(3)]
    assert read_ids(follower) == ids[:1]
    insert(slow)
    assert [read_ids(follower), read_ids(follower)] == [ids[1:2], ids[2:]]
    follower.close()
    slow.close()
    quick.close()


@contextmanager
def resting_wal_writer(cursor: psycopg2.extensions.cursor) -> Iterator[None]:
    """The server's own writer is stopped, and holds nothing meanwhile."""
    find = "SELECT pid, wait_event FROM pg_stat_activity WHERE backend_type = 'walwriter'"

    def stopped() -> bool:
        cursor.execute(find)
        (pid, _) = cursor.fetchall()[0]
        os.kill(pid, signal.SIGSTOP)
        cursor.execute(find)
        if cursor.fetchall() == [(pid, "WalWriterMain")]:
            return True
        os.kill(pid, signal.SIGCONT)
        return False

    try:
        wait_until(stopped)
        yield
    finally:
        cursor.execute(find)
        os.kill(cursor.fetchall()[0][0], signal.SIGCONT)


def test_with_a_nudge_nobody_waits_for_the_servers_own_writer(
    database_url: str, follower: Follower
) -> None:
    connection = connect(database_url, durable=False)
    seen: list[int] = []
    with closing(connect(database_url)) as other, other.cursor() as cursor:
        other.autocommit = True
        with resting_wal_writer(cursor):
            event_id = insert_committed(connection)
            reading = in_background(lambda: seen.extend(read_ids(follower)))
            reading.join(10)
            assert not reading.is_alive(), "the follower waits for the server's own writer"
    assert seen == [event_id]
    connection.close()


@pytest.mark.parametrize("nudge", [True, False])
def test_an_asynchronous_commit_is_on_the_disk_before_it_is_read(
    database_url: str, nudge: bool
) -> None:
    connection = connect(database_url, durable=False)
    follower = Follower.at(database_url, nudge=nudge)
    with connection.cursor() as cursor:
        for _ in range(20):
            event_id = insert_committed(connection)
            cursor.execute("SELECT pg_current_wal_insert_lsn()::text")
            committed = cursor.fetchone()
            connection.rollback()
            assert read_ids(follower) == [event_id]
            cursor.execute("SELECT pg_current_wal_flush_lsn() >= %s::pg_lsn", committed)
            assert cursor.fetchone() == (True,)
            connection.rollback()
    follower.close()
    connection.close()


def test_types_and_session_narrow_what_is_read(database_url: str) -> None:
    connection = connect(database_url)
    insert(connection, "hook_received")
    turn = insert(connection, "turn_detected")
    last = insert(connection, "hook_received")
    connection.commit()
    turns = Follower.at(database_url, types=["turn_detected"])
    page = turns.read()
    assert ([event.id for event in page.events], page.cursor) == ([turn], last)
    nobodys = Follower.at(database_url, session=uuid.uuid4())
    assert nobodys.read().events == []
    turns.close()
    nobodys.close()
    connection.close()


def test_follow_wakes_up_when_events_were_written(database_url: str, follower: Follower) -> None:
    connection = connect(database_url)
    pages = follower.follow(poll_seconds=PATIENCE_SECONDS)
    seen: list[int] = []
    reading = in_background(lambda: seen.extend(event.id for event in next(pages).events))
    with connection.cursor() as cursor:
        wait_until(lambda: _waits_for_notifications(connection))
        event_id = insert(connection)
        cursor.execute("NOTIFY claude_headspace_events")
    connection.commit()
    started = time.monotonic()
    reading.join(PATIENCE_SECONDS)
    assert seen == [event_id]
    assert time.monotonic() - started < PATIENCE_SECONDS / 2
    connection.close()


def _waits_for_notifications(connection: psycopg2.extensions.connection) -> bool:
    """Whether the reader has found nothing and has asked its last question."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = 'claude-headspace follow' AND state = 'idle'"
            " AND query LIKE 'SELECT id, event_type%'"
        )
        found = cursor.fetchone() is not None
    connection.rollback()
    return found


def test_without_notifications_it_looks_by_itself(database_url: str, follower: Follower) -> None:
    connection = connect(database_url)
    pages = follower.follow(poll_seconds=0.05)
    seen: list[int] = []
    reading = in_background(lambda: seen.extend(event.id for event in next(pages).events))
    wait_until(lambda: _waits_for_notifications(connection))
    event_id = insert_committed(connection)
    reading.join(PATIENCE_SECONDS)
    assert seen == [event_id]
    connection.close()


def test_a_log_that_was_set_back_is_noticed(database_url: str) -> None:
    connection = connect(database_url)
    last = insert_committed(connection)
    follower = Follower.at(database_url, last + 100)
    with pytest.raises(CursorAhead, match=f"ends at id {last}"):
        follower.read()
    follower.close()
    connection.close()


def test_a_standby_is_not_followed() -> None:
    with temporary_state() as state:
        with running_server(state) as server:
            data = server.record.data
        (data / "standby.signal").touch()
        with running_server(state) as server:
            follower = Follower.at(server.url("postgres"))
            for ask in (follower.listen, follower.read, follower.skip_to_end):
                with pytest.raises(NotPrimary, match="follow the log on the primary"):
                    ask()
            follower.close()


class Crashing:
    """A server of its own, that can be crashed and started again."""

    def __init__(self, state: Path) -> None:
        self._state = state
        cluster.make_passable(state)
        cluster.make_passable(state / "postgres")
        prepared, record = cluster.prepare(state)
        local = prepared.data / cluster.LOCAL_SETTINGS
        # Commits that do not wait for the disk stay away from it for long.
        local.write_text("fsync = off\nwal_writer_delay = 10s\nrestart_after_crash = off\n")
        local.chmod(0o644)
        self.url = record.url
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-m", "claude_headspace.embedded"],
            env=embedded_environment(self._state),
            stderr=subprocess.DEVNULL,
        )
        wait_for_server(self._process, self.url)

    def crash(self) -> None:
        """What `pg_ctl stop -m immediate` does."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(PATIENCE_SECONDS)

    def stop(self) -> None:
        if self._process.poll() is None:
            stop(self._process)


@pytest.fixture
def crashing() -> Iterator[Crashing]:
    with temporary_state() as state:
        server = Crashing(state)
        try:
            migrations.upgrade(server.url)
            yield server
        finally:
            server.stop()


def test_a_commit_that_was_waited_for_is_on_the_disk_before_it_is_read(crashing: Crashing) -> None:
    """Writers first, then the disk: asked the other way round, the disk has not the last one."""
    writing = connect(crashing.url, durable=False)
    event_id = insert(writing)
    follower = Follower.at(crashing.url)
    seen: list[int] = []
    reader = threading.Thread(target=lambda: seen.extend(read_ids(follower)))
    reader.start()
    with closing(connect(crashing.url)) as other, other.cursor() as cursor:
        other.autocommit = True
        wait_until(lambda: asks_for_writers(cursor))
        writing.commit()
        cursor.execute("SELECT pg_current_wal_insert_lsn()::text")
        committed = cursor.fetchone()
        reader.join(PATIENCE_SECONDS)
        cursor.execute("SELECT pg_current_wal_flush_lsn() >= %s::pg_lsn", committed)
        assert (seen, cursor.fetchone()) == ([event_id], (True,))
    follower.close()
    writing.close()


def asks_for_writers(cursor: psycopg2.extensions.cursor) -> bool:
    cursor.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'claude-headspace follow'"
        " AND query LIKE '%virtualtransaction = ANY%'"
    )
    return bool(cursor.fetchone() == (1,))


def all_keys(url: str) -> dict[int, uuid.UUID]:
    connection = connect(url)
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, event_key::text FROM events ORDER BY id")
        found = {row[0]: uuid.UUID(row[1]) for row in cursor.fetchall()}
    connection.close()
    return found


def test_an_id_that_a_crash_gives_to_another_event_was_not_read_before(
    crashing: Crashing,
) -> None:
    follower = Follower.at(crashing.url)
    connection = connect(crashing.url, durable=False)
    # The server's own writer may be awake for the first ones.
    for _ in range(3):
        insert_committed(connection)
        follower.read()
    taken_back = {insert_committed(connection) for _ in range(50)}
    visible = all_keys(crashing.url)
    assert taken_back <= visible.keys()
    cursor = follower.cursor
    crashing.crash()
    connection.close()
    crashing.start()

    connection = connect(crashing.url)
    ids = [insert_committed(connection) for _ in range(60)]
    connection.close()
    now = all_keys(crashing.url)
    changed = {i for i in taken_back if now.get(i) != visible[i]}
    assert changed, "the crash took nothing back: this test proves nothing"
    with pytest.raises(DatabaseUnavailable):
        follower.read()
    page = follower.read()
    assert page.cursor >= ids[-1]
    read = {event.id: event.key for event in page.events}
    assert read == {i: key for i, key in now.items() if i > cursor}
    follower.close()


@dataclass
class History:
    """What a reader has read: ids in order, and the key each had."""

    read: list[tuple[int, uuid.UUID]] = field(default_factory=list)
    cursor: int = 0


def keep_writing(url: str, stopped: threading.Event, seed: int) -> None:
    """Transactions of all lengths, some given up, some not waiting for the disk."""
    chance = random.Random(seed)
    while not stopped.is_set():
        try:
            connection = connect(url, durable=chance.random() < 0.3)
            try:
                while not stopped.is_set():
                    for _ in range(chance.choice((1, 1, 1, 5))):
                        insert(connection)
                    stopped.wait(chance.choice((0, 0, 0.001, 0.02)))
                    if chance.random() < 0.2:
                        connection.rollback()
                    else:
                        connection.commit()
            finally:
                connection.close()
        except psycopg2.Error:
            stopped.wait(0.01)


def keep_reading(url: str, stopped: threading.Event, history: History, nudge: bool) -> None:
    """Until told to stop, and then until everything is read; forgets all but its cursor."""
    while True:
        last = stopped.is_set()
        follower = Follower.at(url, history.cursor, page_events=50, nudge=nudge)
        try:
            while True:
                page = follower.read()
                history.read += [(event.id, event.key) for event in page.events]
                history.cursor = page.cursor
                if not page.events and (last or stopped.is_set()):
                    break
        except DatabaseUnavailable:
            last = False
            time.sleep(0.01)
        finally:
            follower.close()
        if last:
            return


def test_nothing_is_missed_repeated_or_taken_back_over_crashes(crashing: Crashing) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    stopped_writing, stopped = threading.Event(), threading.Event()
    writers = [
        in_background(partial(keep_writing, crashing.url, stopped_writing, seed + number))
        for number in range(4)
    ]
    histories = [History(), History()]
    readers = [
        in_background(partial(keep_reading, crashing.url, stopped, history, nudge))
        for history, nudge in zip(histories, (True, False), strict=True)
    ]

    def read_on() -> None:
        reached = len(histories[0].read)
        wait_until(lambda: len(histories[0].read) > reached + 100)

    for _ in range(6):
        read_on()
        time.sleep(chance.random() / 5)
        crashing.crash()
        crashing.start()
    read_on()
    stopped_writing.set()
    for writer in writers:
        writer.join(PATIENCE_SECONDS)
    stopped.set()
    for reader in readers:
        reader.join(2 * PATIENCE_SECONDS)
        assert not reader.is_alive()
    there = list(all_keys(crashing.url).items())
    assert len(there) > 600
    for history in histories:
        assert history.read == there
