from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from claude_headspace.errors import DatabaseRefused
from claude_headspace.events.event import Event, Origin
from claude_headspace.machine import id_of_name
from claude_headspace.store.checkpoints import Checkpoints
from claude_headspace.store.connection import Database
from claude_headspace.store.dead_letters import DeadLetter
from claude_headspace.store.patience import Patience
from claude_headspace.store.writer import EventWriter
from harness import Log

NOW = datetime(2025, 6, 1, 12, 0, 0, 123456, tzinfo=UTC)
SESSION = uuid4()


class Pauses:
    """Instead of sleeping: remembers how long, and may do something meanwhile."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.meanwhile: Any = None

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        if self.meanwhile:
            self.meanwhile()


@pytest.fixture
def log(database_url: str) -> Log:
    return Log(database_url)


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


@pytest.fixture
def writer(database_url: str, pauses: Pauses) -> Iterator[EventWriter]:
    made = make_writer(database_url, pauses)
    yield made
    made.close()


def make_writer(url: str, pauses: Pauses, answer_seconds: float = 5) -> EventWriter:
    patience = Patience(answer_seconds=answer_seconds)
    database = Database(lambda: url, application_name="test", patience=patience)
    return EventWriter(database, pause=pauses)


def event(text: str = "x", **changes: Any) -> Event:
    payload = {"hook_type": text, "claude_session_id": "s", "working_directory": "/w"}
    given = {"key": uuid4(), "session_uuid": SESSION, **changes}
    return Event("hook_received", NOW, payload, **given)


def outcomes(writer: EventWriter, *events: Event) -> list[str]:
    return [result.outcome for result in writer.write_all(events)]


def texts(log: Log) -> list[str]:
    return [row[0] for row in log.rows("SELECT payload->>'hook_type' FROM events ORDER BY id")]


def test_an_event_is_written_whole_and_visible_at_once(writer: EventWriter, log: Log) -> None:
    given = event("ä\U0001f600\\\"'{},%s", origin=Origin(7, 2**40)).annotated(rescued=True)
    result = writer.write(given)
    assert (result.outcome, result.error) == ("written", None)
    assert log.rows(
        "SELECT id, timestamp, event_type, payload, project_id, session_uuid::text,"
        " event_key::text, source_id, source_offset, annotations FROM events"
    ) == [(
        result.event_id, NOW, "hook_received", given.payload, None, str(SESSION), str(given.key),
        7, 2**40, {"rescued": True},
    )]  # fmt: skip
    assert log.value("SELECT recorded_at > now() - interval '1 minute' FROM events")


def test_every_zone_is_the_same_moment(writer: EventWriter, log: Log) -> None:
    zone = timezone(timedelta(hours=-9, minutes=-30))
    given = event()
    writer.write(Event(given.type, NOW.astimezone(zone), given.payload, given.key))
    assert log.value("SELECT timestamp FROM events") == NOW


def test_each_has_a_transaction_of_its_own_in_order(writer: EventWriter, log: Log) -> None:
    assert outcomes(writer, *(event(str(n)) for n in range(200))) == ["written"] * 200
    assert texts(log) == [str(n) for n in range(200)]
    assert log.value("SELECT count(DISTINCT xmin::text) FROM events") == 200


def test_the_same_identity_again(writer: EventWriter, log: Log) -> None:
    here, there = Origin(1, 10), Origin(1, 20)
    key = uuid4()
    first = writer.write(event(key=key, origin=here))
    again = writer.write(event(key=key, origin=here))
    other = writer.write(event(key=key, origin=there))
    none = writer.write(event(key=key))
    elsewhere = writer.write(event(key=key, origin=there, session_uuid=uuid4()))
    assert [r.outcome for r in (first, again, other, none, elsewhere)] == [
        "written", "again", "duplicate", "duplicate", "written",
    ]  # fmt: skip
    assert first.event_id == again.event_id == other.event_id == none.event_id
    assert log.value("SELECT count(*) FROM events") == 2
    counters = writer.counters
    assert (counters.written, counters.duplicates, counters.failed) == (2, 2, 0)


def test_an_invalid_event_is_rejected_and_costs_nothing_but_itself(
    writer: EventWriter, log: Log
) -> None:
    bad = Event("hook_received", NOW, {"hook_type": 7}, uuid4())
    results = writer.write_all([event("a"), bad, event("b")])
    assert [r.outcome for r in results] == ["written", "rejected", "written"]
    assert "payload.hook_type" in str(results[1].error)
    assert texts(log) == ["a", "b"]
    assert (writer.counters.rejected, writer.counters.written) == (1, 2)


@pytest.mark.parametrize("changes", [
    {"project_id": 99}, {"agent_id": 99}, {"command_id": 99}, {"turn_id": 99},
    {"project_id": 2**40}, {"origin": Origin(1, 2**70)}, {"key": "no uuid"},
    {"annotations": {"x": object()}},
])  # fmt: skip
@pytest.mark.parametrize("origin", [None, Origin(1, 1)])
def test_what_postgres_refuses_is_rejected(
    writer: EventWriter, log: Log, pauses: Pauses, changes: dict[str, Any], origin: Origin | None
) -> None:
    batch = [event("a", origin=origin), event("bad", **changes), event("b")]
    results = writer.write_all(batch)
    # The first may come out as written again: it was, in the try that was refused.
    assert results[0].outcome in ("written", "again")
    assert [r.outcome for r in results[1:]] == ["rejected", "written"]
    assert texts(log) == ["a", "b"]
    assert pauses.seconds == []


def test_duplicates_around_a_refused_event(writer: EventWriter, log: Log) -> None:
    known = event("known")
    writer.write(known)
    batch = [event("a"), event("bad", project_id=99), known, event("b")]
    assert outcomes(writer, *batch) == ["again", "rejected", "duplicate", "written"]
    assert texts(log) == ["known", "a", "b"]


def test_a_reference_can_be_restored(database_url: str, log: Log) -> None:
    log.rows("INSERT INTO projects (machine, path) VALUES (md5('h')::uuid, 'p')")

    def restore(given: Event) -> Event:
        return Event(given.type, given.timestamp, given.payload, given.key, project_id=1)

    database = Database(lambda: database_url, application_name="test")
    writer = EventWriter(database, restore=restore)
    assert outcomes(writer, event("a"), event("b", project_id=99)) == ["again", "written"]
    assert log.rows("SELECT project_id FROM events ORDER BY id") == [(None,), (1,)]
    writer.close()


@pytest.mark.parametrize("bad", ["\0", "\ud83d"])
def test_unstorable_characters_are_replaced_and_marked(
    writer: EventWriter, log: Log, bad: str
) -> None:
    noted = event(f"a{bad}b").annotated(note=bad)
    assert writer.write(noted).outcome == "written"
    assert texts(log) == ["a\ufffdb"]
    notes = log.value("SELECT annotations FROM events")
    assert notes == {"note": "\ufffd", "replaced_characters": 1}


class TestOutage:
    """The database goes away."""

    def test_a_terminated_connection_is_made_anew(
        self, writer: EventWriter, log: Log, pauses: Pauses
    ) -> None:
        writer.write(event("a"))
        for pid in log.other_backends():
            log.rows("SELECT pg_terminate_backend(%s)", (pid,))
        result = writer.write(event("b"))
        assert result.outcome == "written"
        assert pauses.seconds == [0.1]
        assert texts(log) == ["a", "b"]
        assert writer.counters.retries == 1

    def test_an_answer_that_was_lost_is_not_a_duplicate(
        self, writer: EventWriter, log: Log, pauses: Pauses
    ) -> None:
        """The event was committed by the first try, which did not live to say so."""
        given = event("b")
        writer.write(event("a"))
        (pid,) = log.other_backends()
        log.rows("SELECT pg_terminate_backend(%s)", (pid,))
        second = make_writer(log.url, Pauses())
        pauses.meanwhile = lambda: second.write(given)
        assert writer.write(given).outcome == "again"
        assert writer.counters.duplicates == 0
        assert texts(log) == ["a", "b"]
        second.close()

    def test_three_retries_after_the_first_try(self, pauses: Pauses, tmp_path: Any) -> None:
        writer = make_writer(f"postgresql://x@/x?host={tmp_path}", pauses)
        results = writer.write_all([event(), event()])
        assert [result.outcome for result in results] == ["failed"] * 2
        assert pauses.seconds == [0.1, 0.2, 0.4]
        counters = writer.counters
        assert (counters.failed, counters.retries, counters.written) == (2, 3, 0)
        assert counters.failing_since is not None
        assert counters.last_error == results[0].error

    def test_it_comes_back_between_the_tries(
        self, database_url: str, pauses: Pauses, tmp_path: Any
    ) -> None:
        urls = [f"postgresql://x@/x?host={tmp_path}"] * 3 + [database_url]
        writer = EventWriter(Database(lambda: urls.pop(0), application_name="test"), pause=pauses)
        result = writer.write(event())
        assert (result.outcome, len(pauses.seconds)) == ("written", 3)
        assert writer.counters.failing_since is None
        writer.close()

    def test_a_frozen_server_is_waited_for_so_long_and_no_longer(
        self, database_url: str, pauses: Pauses, log: Log
    ) -> None:
        writer = make_writer(database_url, pauses, answer_seconds=0.3)
        assert writer.write(event("a")).outcome == "written"
        (backend,) = log.other_backends()
        os.kill(backend, signal.SIGSTOP)
        try:
            began = time.monotonic()
            result = writer.write(event("b"))
            # Only the backend is frozen: the next try has another.
            assert (result.outcome, len(pauses.seconds)) == ("written", 1)
            assert time.monotonic() - began < 5
        finally:
            os.kill(backend, signal.SIGCONT)
        writer.close()
        assert texts(log) == ["a", "b"]

    def test_missing_privileges_hold(self, database_url: str, log: Log, pauses: Pauses) -> None:
        log.rows("ALTER TABLE events RENAME TO elsewhere")
        writer = make_writer(database_url, pauses)
        assert writer.write(event()).outcome == "failed"
        log.rows("ALTER TABLE elsewhere RENAME TO events")
        assert writer.write(event()).outcome == "written"
        writer.close()


class Lasting:
    """A connection that does not come back by itself, as the watcher's."""

    def __init__(self, url: str, pauses: Pauses) -> None:
        self.database = Database(lambda: url, application_name="test", by_itself=False)
        self.database.connect()
        self.writer = EventWriter(self.database, pause=pauses)

    @property
    def backend(self) -> int:
        return int(self.database.execute("SELECT pg_backend_pid()")[0][0])


@pytest.fixture
def lasting(database_url: str, pauses: Pauses) -> Iterator[Lasting]:
    made = Lasting(database_url, pauses)
    yield made
    made.database.close()


def test_nothing_is_tried_again_once_the_connection_it_was_read_over_is_lost(
    lasting: Lasting, log: Log, pauses: Pauses
) -> None:
    log.rows("SELECT pg_terminate_backend(%s)", (lasting.backend,))
    result = lasting.writer.write(event())
    assert (result.outcome, pauses.seconds) == ("failed", [])
    lasting.database.connect()
    assert texts(log) == []


def test_what_passes_by_itself_is_tried_again_over_the_same_connection(
    lasting: Lasting, log: Log, pauses: Pauses
) -> None:
    log.rows(
        "CREATE SEQUENCE tries; CREATE FUNCTION busy() RETURNS trigger LANGUAGE plpgsql AS $$"
        " BEGIN IF nextval('tries') < 3 THEN RAISE EXCEPTION 'busy' USING ERRCODE = '55P03';"
        " END IF; RETURN NEW; END $$;"
        " CREATE TRIGGER busy BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION busy()"
    )
    backend = lasting.backend
    result = lasting.writer.write(event("x"))
    assert (result.outcome, len(pauses.seconds)) == ("written", 2)
    assert (texts(log), lasting.backend) == (["x"], backend)


def test_more_than_postgres_can_do_is_refused_for_ever(lasting: Lasting) -> None:
    """SQLSTATE class 54: held, it would hold everything behind it."""
    with pytest.raises(DatabaseRefused) as refused:
        lasting.database.execute("SELECT " + ", ".join("1" * 1700))
    assert refused.value.sqlstate == "54011"
    assert lasting.database.connected


def test_of_several_hosts_the_first_that_answers_is_taken(database_url: str) -> None:
    place, _, port = database_url.partition("host=")[2].partition("&port=")
    dead = database_url.replace(f"host={place}", f"host=/nowhere,{place}")
    database = Database(lambda: dead, application_name="test", by_itself=False)
    database.connect()
    assert database.execute("SELECT current_setting('port')") == [(port,)]
    database.close()


def test_a_host_that_accepts_and_says_nothing_is_left_for_the_next(
    database_url: str, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / f".s.PGSQL.{database_url.rpartition('=')[2]}"))
        silent.listen()
        address = database_url.replace("host=", f"connect_timeout=1&host={tmp_path},")
        database = Database(lambda: address, application_name="test", by_itself=False)
        database.connect()
        assert database.execute("SELECT 1") == [(1,)]
        database.close()


def test_a_dead_letter_that_was_resolved_and_is_met_again_is_open_again(
    lasting: Lasting, log: Log
) -> None:
    checkpoints = Checkpoints(lasting.database, id_of_name("h"))
    letter = DeadLetter(1, "torn", "why", b"x")
    statement = letter.statement(lasting.database, checkpoints.create("/f").id)
    lasting.database.execute(statement)
    log.rows("UPDATE dead_letters SET resolved_at = now()")
    lasting.database.execute(statement)
    assert log.rows("SELECT resolved_at FROM dead_letters") == [(None,)]
