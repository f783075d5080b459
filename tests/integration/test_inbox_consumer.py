"""One file of the inbox, one session, one registration costs itself alone, whatever is wrong."""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from claude_headspace.events.event import Event
from claude_headspace.events.event_types import HOOK_RECEIVED, EventTypes, installed_types
from claude_headspace.inbox import put
from claude_headspace.inbox.consumer import InboxConsumer
from claude_headspace.inbox.queue import BATCH_BYTES, InboxQueue
from claude_headspace.inbox.retention import DoneFiles
from claude_headspace.machine import id_of_name
from claude_headspace.sessions.lifecycle import Sessions
from claude_headspace.sessions.log import Log as WrittenLog
from claude_headspace.sessions.timeouts import SessionTimeouts
from claude_headspace.store.checkpoints import Checkpoints
from claude_headspace.store.connection import Database, Meanwhile, Row
from claude_headspace.store.precondition import Precondition
from claude_headspace.store.sessions import SessionRows
from claude_headspace.store.writer import EventWriter
from claude_headspace.transcripts.secrets import Redaction
from harness import Log, wait_until

HOST = id_of_name("here")
NOW = datetime(2025, 6, 1, 12, 0, tzinfo=UTC)


class Fussy(EventTypes):
    """Event types with a validator that is broken for some payloads, as a plug-in's may be."""

    def __init__(self) -> None:
        super().__init__({kind.name: type(kind.schema) for kind in installed_types()})
        self.broken = True

    def check(self, event: Event) -> None:
        if self.broken and event.payload.get("message") == "breaks":
            raise ZeroDivisionError("a validator's own mistake")
        super().check(event)


@dataclass
class Desk:
    """What takes the inbox in and ends sessions, without the loop around it."""

    directory: Path
    log: Log
    database: Database
    event_types: Fussy = field(default_factory=Fussy)
    unread: Callable[[uuid.UUID], bool] = lambda _: False

    def __post_init__(self) -> None:
        log = WrittenLog(
            self.database,
            EventWriter(self.database, event_types=self.event_types),
            Checkpoints(self.database, HOST),
            Sessions(SessionRows(self.database, HOST), "all"),
        )
        self.queue = InboxQueue(self.directory, lambda session: self.unread(session))
        self.consumer = InboxConsumer(
            directory=self.directory,
            log=log,
            queue=self.queue,
            done=DoneFiles(self.directory, 3600, 1 << 30),
            redaction=Redaction(None),
            count_rejected=lambda _: None,
        )
        self.timeouts = SessionTimeouts(log, 60, now=lambda: NOW + timedelta(hours=1))
        self.consumer.prepare()

    def put(self, message: str, **more: Any) -> str:
        payload = {
            "hook_type": "Stop", "claude_session_id": "none", "working_directory": "/w",
            "message": message, **more,
        }  # fmt: skip
        return put(self.directory, HOOK_RECEIVED, payload)

    def take_all(self) -> None:
        while self.consumer.consume():
            pass

    def messages(self) -> list[str]:
        rows = self.log.rows(
            "SELECT payload->>'message' FROM events WHERE event_type = 'hook_received' ORDER BY id"
        )
        return [row[0] for row in rows]

    def waiting(self) -> int:
        return len(list(self.consumer.watched.iterdir()))

    def session(self, seen: str = "2025-06-01T12:00:00Z") -> str:
        """An open session of this host, seen last at this time."""
        session = str(uuid.uuid4())
        self.log.rows(
            "INSERT INTO projects (machine, path) VALUES (%s, '/w') ON CONFLICT DO NOTHING;"
            " INSERT INTO agents (session_uuid, project_id, working_directory, announced,"
            " last_seen_at) SELECT %s, id, '/w', true, %s FROM projects",
            (HOST, session, seen),
        )
        return session

    def refuse(self, table: str, session: str, operation: str = "INSERT") -> None:
        """From now on Postgres refuses what is written of this session into the table."""
        self.log.rows(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " RAISE EXCEPTION 'not this one' USING ERRCODE = '22023'; END $$;"
            f" CREATE TRIGGER refuse BEFORE {operation} ON {table} FOR EACH ROW"
            f" WHEN (NEW.session_uuid = '{session}') EXECUTE FUNCTION refuse()"
        )


@pytest.fixture
def desk(tmp_path: Path, database_url: str) -> Iterator[Desk]:
    database = Database(lambda: database_url, application_name="test")
    yield Desk(tmp_path / "inbox", Log(database_url), database)
    database.close()


class Noting(Database):
    """A connection that remembers what it was to have on the disk."""

    def __init__(self, url: str) -> None:
        super().__init__(lambda: url, application_name="test")
        self.durable: list[str] = []

    def store(
        self,
        statements: Sequence[str],
        precondition: Precondition,
        *,
        durably: bool = False,
        meanwhile: Meanwhile | None = None,
    ) -> list[Row]:
        if durably:
            self.durable += statements
        return super().store(statements, precondition, durably=durably, meanwhile=meanwhile)


def test_what_is_kept_of_a_damaged_file_is_on_the_disk_before_the_file_goes(
    tmp_path: Path, database_url: str
) -> None:
    database = Noting(database_url)
    desk = Desk(tmp_path / "inbox", Log(database_url), database)
    (desk.consumer.watched / "1-x.json").write_bytes(b"no event")
    desk.take_all()
    assert (desk.waiting(), desk.log.value("SELECT reason FROM dead_letters")) == (0, "damaged")
    assert any("INSERT INTO dead_letters" in each for each in database.durable)
    database.close()


def test_an_event_whose_validator_raises_waits_and_nothing_else(desk: Desk) -> None:
    for message in ("a", "breaks", "b"):
        desk.put(message)
    desk.take_all()
    assert desk.messages() == ["a", "b"]
    assert desk.waiting() == 1
    trouble = desk.consumer.queue.trouble or ""
    assert "files of the inbox are in quarantine (1)" in trouble
    assert "ZeroDivisionError" in trouble
    desk.event_types.broken = False
    wait_until(lambda: desk.consumer.consume(), "the next try", 20)
    assert desk.messages() == ["a", "b", "breaks"]
    assert (desk.consumer.queue.trouble, desk.waiting()) == (None, 0)


def test_a_file_that_cannot_be_moved_is_in_the_log_once(desk: Desk) -> None:
    desk.put("stays")
    (stuck,) = desk.consumer.watched.iterdir()
    minute = int(time.time()) // 60
    in_the_way = [desk.directory / "done" / f"{m:012d}" / stuck.name for m in (minute, minute + 1)]
    for directory in in_the_way:
        (directory / "x").mkdir(parents=True)
    desk.put("goes on")
    desk.take_all()
    assert desk.messages() == ["stays", "goes on"]
    assert "cannot be moved" in (desk.consumer.queue.trouble or "")
    for directory in in_the_way:
        shutil.rmtree(directory)
    wait_until(lambda: desk.consumer.consume(), "the next try", 20)
    assert (desk.messages(), desk.waiting()) == (["stays", "goes on"], 0)


def test_an_inbox_that_cannot_be_made_ends_nothing(desk: Desk) -> None:
    shutil.rmtree(desk.directory)
    desk.directory.touch()
    desk.consumer.prepare()
    desk.queue.look_again = True
    assert not desk.consumer.consume()
    assert "the inbox cannot be read" in (desk.queue.trouble or "")


@pytest.mark.parametrize("table", ["agents", "events"])
def test_a_session_that_postgres_refuses_costs_its_own_events(desk: Desk, table: str) -> None:
    refused, fine = str(uuid.uuid4()), str(uuid.uuid4())
    desk.refuse(table, refused)
    desk.put("a", claude_session_id=fine)
    desk.put("refused", claude_session_id=refused)
    desk.put("b", claude_session_id=fine)
    desk.take_all()
    assert desk.messages() == ["a", "b"]
    assert desk.log.count("session_registered", fine) == 1
    kept = desk.log.value("SELECT count(*) FROM dead_letters") + len(
        desk.consumer.queue.trouble or ""
    )
    assert kept > 0


def test_a_batch_is_bounded_in_bytes(desk: Desk) -> None:
    for _ in range(4):
        desk.put("x" * BATCH_BYTES)
    assert [len(desk.queue.next_batch()) for _ in range(4)] == [1, 1, 1, 1]


def test_an_end_and_what_follows_it_wait_for_the_sessions_lines(desk: Desk) -> None:
    held, other = str(uuid.uuid4()), str(uuid.uuid4())
    behind = {uuid.UUID(held)}
    desk.unread = lambda session: session in behind
    desk.put("end", claude_session_id=held, hook_type="SessionEnd")
    desk.put("other", claude_session_id=other)
    desk.put("start", claude_session_id=held, hook_type="SessionStart")
    desk.take_all()
    assert desk.messages() == ["other"]
    assert desk.consumer.queue.due is not None
    behind.clear()
    wait_until(lambda: desk.consumer.consume(), "the held ones", 20)
    assert desk.messages() == ["other", "end", "start"]


def test_a_session_that_cannot_be_ended_costs_itself_alone(desk: Desk) -> None:
    fine, refused = desk.session(), desk.session("2025-06-01T11:00:00Z")
    desk.refuse("agents", refused, "UPDATE")
    desk.timeouts.look()
    assert desk.log.timeouts(fine)
    assert refused in (desk.timeouts.trouble or "")


@pytest.mark.parametrize("seen", ["0044-03-15 12:00:00 BC", "-infinity", "0001-01-01T00:00:00Z"])
def test_a_time_out_of_range_costs_its_session_alone(desk: Desk, seen: str) -> None:
    desk.session(seen)
    fine = desk.session()
    desk.timeouts.look()
    assert desk.log.timeouts(fine)


def test_a_registration_that_postgres_refuses_costs_itself_alone(desk: Desk) -> None:
    refused, fine = str(uuid.uuid4()), str(uuid.uuid4())
    desk.refuse("agents", refused)
    ask = "INSERT INTO registrations (session_uuid, wanted, project_path) VALUES (%s, true, '/w')"
    for session in (refused, fine):
        desk.log.rows(ask, (session,))
    desk.timeouts.apply_registrations()
    assert desk.log.count("session_registered", fine) == 1
    assert desk.log.count("session_registered", refused) == 0
    assert f"cannot be registered (1): {refused}" in (desk.timeouts.trouble or "")
    desk.log.rows("DROP TRIGGER refuse ON agents")
    wait_until(lambda: desk.timeouts.retries_registrations, "the next try", 20)
    desk.timeouts.apply_registrations()
    assert desk.log.count("session_registered", refused) == 1
    assert desk.timeouts.trouble is None
