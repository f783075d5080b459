"""What must be on the disk when it returns is there after a crash of the server.

The server's WAL writer is so slow that what does not wait for the disk is lost.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from claude_headspace.events.event import Event
from claude_headspace.machine import id_of_name
from claude_headspace.store.checkpoints import Checkpoints
from claude_headspace.store.connection import Database
from claude_headspace.store.dead_letters import DeadLetter
from claude_headspace.store.sessions import SessionRows
from claude_headspace.store.writer import EventWriter
from faults.machine import Machine, machine, query

HOST = id_of_name("here")
SESSION = uuid.uuid4()
SLOW = "wal_writer_delay = 10s\nautovacuum = off\nbgwriter_delay = 10s\n"


@pytest.fixture(scope="module")
def server() -> Iterator[Machine]:
    with machine(settings=SLOW) as it:
        yield it


def crash_after(server: Machine, url: str, change: Callable[[Database], object]) -> None:
    """The server dies at once after the change was made."""
    query(url, "INSERT INTO checkpoints (machine, path, committed_offset, sessions)"
               " VALUES (%s, '/old', 9, ARRAY[%s::uuid])", (HOST, str(SESSION)))  # fmt: skip
    database = Database(lambda: url, application_name="test")
    try:
        change(database)
    finally:
        server.crash()
        database.close()
        server.start()


def rename(database: Database) -> None:
    checkpoints = Checkpoints(database, HOST)
    source = checkpoints.find("/old")
    assert source is not None
    checkpoints.rename(source, "/new")


def rewind(database: Database) -> None:
    Checkpoints(database, HOST).rewind(["/old"])


def rewind_session(database: Database) -> None:
    Checkpoints(database, HOST).rewind_session(SESSION)


def register(database: Database) -> None:
    SessionRows(database, HOST).register(SESSION)


def reject(database: Database) -> None:
    source = Checkpoints(database, HOST).find("/old")
    assert source is not None
    letter = DeadLetter(1, "damaged", "why", b"x")
    database.execute_durably(letter.statement(database, source.id))


def write(database: Database) -> None:
    payload = {"hook_type": "Stop", "claude_session_id": "s", "working_directory": "/w"}
    now = datetime.now(UTC)
    EventWriter(database).write(Event("hook_received", now, payload, uuid.uuid4()))


def not_durable(database: Database) -> None:
    database.execute("UPDATE checkpoints SET path = '/lost'")


@pytest.mark.parametrize(("change", "question", "answer"), [
    (rename, "SELECT path FROM checkpoints", "/new"),
    (rewind, "SELECT committed_offset FROM checkpoints", 0),
    (rewind_session, "SELECT committed_offset FROM checkpoints", 0),
    (register, "SELECT wanted FROM registrations", True),
    (reject, "SELECT reason FROM dead_letters", "damaged"),
    (write, "SELECT event_type FROM events", "hook_received"),
    # This one shows that the others could be lost.
    (not_durable, "SELECT path FROM checkpoints", "/old"),
])  # fmt: skip
def test_it_is_there_after_a_crash(
    server: Machine, change: Callable[[Database], None], question: str, answer: object
) -> None:
    with server.database() as url:
        crash_after(server, url, change)
        assert query(url, question) == [(answer,)]
