"""Whose rows are whose: machines upgraded, renamed, copied, gone, and over one home."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from alembic import command
from msgspec.structs import replace

import lines
from capturing_desk import Desk
from claude_headspace.discovery.work_queue import UnreadFile, WorkQueue
from claude_headspace.errors import DatabaseUnavailable, StateCopied
from claude_headspace.machine import id_of_name, machine_id, make_machine_id
from claude_headspace.read.connection import ReadPool
from claude_headspace.read.listed import HostQuestion, list_hosts
from claude_headspace.sessions.log import Log as WrittenLog
from claude_headspace.sessions.timeouts import SessionTimeouts
from claude_headspace.store import migrations
from claude_headspace.store.connection import Database
from claude_headspace.store.engine import make_engine
from claude_headspace.store.writer import EventWriter
from claude_headspace.watcher.lease import Lease, Presence
from harness import Log, Projects, wait_until

HOUR = timedelta(hours=1)


class Machine:
    """One that has its lease as long as its connection lasts."""

    def __init__(self, directory: Path, log: Log, label: str, copy_seconds: float = 0) -> None:
        directory.mkdir(exist_ok=True)
        self.id = make_machine_id(directory)
        self.lease = Lease(directory, self.id, label, copy_seconds)
        self.database = Database(
            lambda: log.url, application_name="test", prepare=self.lease.take, by_itself=False
        )


@pytest.fixture
def made() -> Iterator[list[Machine]]:
    machines: list[Machine] = []
    yield machines
    for machine in machines:
        machine.database.close()


def held_in(log: Log) -> list[tuple[object, ...]]:
    return log.rows("SELECT label, id::text FROM machines ORDER BY first_seen_at")


def test_an_upgrade_gives_the_rows_of_a_name_to_the_machine_that_had_it(
    tmp_path: Path, empty_database_url: str
) -> None:
    migrations.upgrade(empty_database_url, "0007")
    log = Log(empty_database_url)
    session = lines.new_session()
    log.rows(
        "INSERT INTO projects (host, path) VALUES ('laptop', '/p'), ('desk', '/p');"
        "INSERT INTO checkpoints (host, path, committed_offset) VALUES ('laptop', '/f', 7);"
        f"INSERT INTO registrations (session_uuid, wanted, host) VALUES ('{session}', true, NULL);"
        f"INSERT INTO registration_hosts VALUES ('laptop', '{session}', 1)"
    )
    (tmp_path / "host").write_text("laptop\n")
    migrations.upgrade(empty_database_url)
    machine = machine_id(tmp_path)
    assert machine == id_of_name("laptop")
    assert log.rows("SELECT host, machine::text FROM places ORDER BY id") == [
        ("laptop", machine), ("desk", id_of_name("desk")),
    ]  # fmt: skip
    assert log.value("SELECT machine::text FROM checkpoints") == machine
    assert log.value("SELECT machine::text FROM registration_hosts") == machine
    assert log.value("SELECT host FROM source_positions") == "laptop"
    assert log.value("SELECT machine FROM registrations") is None
    log.rows("UPDATE machines SET label = 'desk'")
    engine = make_engine(empty_database_url)
    with engine.begin() as opened:
        command.downgrade(migrations.alembic_config(opened), "0007")
    engine.dispose()
    names = [f"desk-{id_of_name(name)[:8]}" for name in ("laptop", "desk")]
    assert log.rows("SELECT host FROM projects ORDER BY id") == [(name,) for name in names]
    assert log.value("SELECT host FROM source_positions") == names[0]


def test_a_machine_says_what_it_is_called_now(
    tmp_path: Path, log: Log, made: list[Machine]
) -> None:
    for label in ("MacBook.local", "MacBook.fritz.box"):
        made.append(Machine(tmp_path / "var", log, label))
        made[-1].database.connect()
        assert held_in(log) == [(label, made[0].id)]
        made[-1].database.close()


def test_a_second_watcher_of_the_same_place_waits_for_ever(
    tmp_path: Path, log: Log, made: list[Machine]
) -> None:
    made += [Machine(tmp_path / "var", log, "a") for _ in range(2)]
    made[0].database.connect()
    with pytest.raises(
        DatabaseUnavailable, match=r"another watcher works for machine .*: waiting$"
    ):
        made[1].database.connect()
    assert machine_id(tmp_path / "var") == made[0].id
    made[0].database.close()
    made[1].database.connect()


def test_a_copy_of_a_state_directory_waits_and_then_has_an_id_of_its_own(
    tmp_path: Path, log: Log, made: list[Machine]
) -> None:
    made.append(Machine(tmp_path / "var", log, "a"))
    shutil.copytree(tmp_path / "var", tmp_path / "copy")
    made += [Machine(tmp_path / "copy", log, "b", seconds) for seconds in (60, 0)]
    made[0].database.connect()
    with pytest.raises(DatabaseUnavailable, match=r"is a copy of .*waiting 60 s for"):
        made[1].database.connect()
    assert machine_id(tmp_path / "copy") == made[0].id
    with pytest.raises(StateCopied, match=r"it is machine [0-9a-f]{8} from now on"):
        made[2].database.connect()
    made.append(Machine(tmp_path / "copy", log, "b"))
    made[3].database.connect()
    assert held_in(log) == [("a", made[0].id), ("b", made[3].id)]
    assert made[0].id != made[3].id


def test_what_may_be_one_directory_seen_twice_keeps_its_id(
    tmp_path: Path, log: Log, made: list[Machine]
) -> None:
    """A home on a network, or a disk copied bit by bit: nothing tells them apart."""
    made += [Machine(tmp_path / "var", log, "a") for _ in range(2)]
    made[0].database.connect()
    other = replace(made[0].lease.holder, hostname="elsewhere", boot="another", device=99)
    log.rows("UPDATE machines SET holder = %s", (msgspec.json.encode(other).decode(),))
    with pytest.raises(DatabaseUnavailable, match=r"on elsewhere in .* remove .*/machine here"):
        made[1].database.connect()
    assert machine_id(tmp_path / "var") == made[0].id


class Fleet:
    """Two machines that capture, by their desks, and the log of both."""

    def __init__(self, directory: Path, projects: Projects, log: Log) -> None:
        self.log = log
        self.desks = [Desk(directory, projects, log, host=name) for name in ("gone", "here")]
        self.session = lines.new_session()
        self.path = self.desks[0].write(self.session, lines.user(self.session, "one"))
        self.desks[0].take(self.path)
        log.rows("UPDATE agents SET last_seen_at = now() - interval '2 hours'")

    def look(self, number: int = 1) -> None:
        """Have one of them look for sessions to be ended."""
        desk = self.desks[number]
        log = WrittenLog(desk.database, EventWriter(desk.database), desk.checkpoints, desk.sessions)
        SessionTimeouts(log, HOUR.total_seconds()).look()

    def seen(self, name: str, ago: timedelta) -> None:
        """Say when a machine's watcher was there last."""
        self.log.rows(
            "INSERT INTO machines (id, label, seen_at) VALUES (%s, %s, %s)"
            " ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at",
            (id_of_name(name), name, datetime.now(UTC) - ago),
        )


@pytest.fixture
def fleet(tmp_path: Path, projects: Projects, log: Log) -> Iterator[Fleet]:
    it = Fleet(tmp_path, projects, log)
    yield it
    for desk in it.desks:
        desk.database.close()


def test_sessions_of_a_machine_that_is_gone_are_ended_by_another(fleet: Fleet) -> None:
    fleet.seen("gone", HOUR / 2)
    fleet.look()
    assert fleet.log.timeouts(fleet.session) == []
    fleet.seen("gone", 2 * HOUR)
    for number in (1, 1, 0):
        fleet.look(number)
    ((reason, when, _),) = fleet.log.timeouts(fleet.session)
    assert (reason, when) == ("timeout", fleet.log.value("SELECT ended_at FROM agents"))
    assert when - fleet.log.value("SELECT last_seen_at FROM agents") == HOUR
    fleet.desks[0].write(fleet.session, lines.user(fleet.session, "I am back", at=10**8))
    fleet.desks[0].sessions.clear()
    fleet.desks[0].take(fleet.path)
    assert fleet.log.value("SELECT ended_at FROM agents") is None
    assert fleet.log.texts(fleet.session) == ["one", "I am back"]


def test_not_while_it_holds_its_lease(
    tmp_path: Path, fleet: Fleet, log: Log, made: list[Machine]
) -> None:
    """Whatever its clock and its row say."""
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "machine").write_text(id_of_name("gone"))
    made.append(Machine(tmp_path / "var", log, "gone"))
    made[0].database.connect()
    fleet.seen("gone", 2 * HOUR)
    fleet.look()
    assert log.timeouts(fleet.session) == []
    made[0].database.close()

    def ended() -> bool:
        fleet.look()
        return len(log.timeouts(fleet.session)) == 1

    wait_until(ended, "the end of the session, once the server has let go of the lease")


def test_not_soon_after_an_upgrade_of_one_of_them(fleet: Fleet) -> None:
    fleet.log.rows("INSERT INTO machines (id, label) VALUES (%s, 'gone')", (id_of_name("gone"),))
    fleet.look()
    assert fleet.log.timeouts(fleet.session) == []


def test_over_one_home_a_session_is_one_and_told_once(
    fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    """Both read the file; both may look for silent sessions at a time."""
    here, log = fleet.desks[1], fleet.log
    before = log.fingerprint()
    with caplog.at_level(logging.DEBUG):
        here.take(fleet.path)
        here.write(fleet.session, lines.user(fleet.session, "two", at=1))
        for desk in reversed(fleet.desks):
            desk.take(fleet.path)
    assert log.fingerprint()[: len(before)] == before
    assert log.texts(fleet.session) == ["one", "two"]
    assert log.value("SELECT count(*) FROM agents") == 1
    told = [r for r in caplog.records if "on another machine" in r.getMessage()]
    assert [(r.levelno, fleet.session in r.getMessage()) for r in told] == [(logging.DEBUG, True)]


def test_a_watcher_says_how_far_behind_it_is(tmp_path: Path, log: Log, made: list[Machine]) -> None:
    made.append(Machine(tmp_path / "var", log, "a"))
    made[0].database.connect()
    queue = WorkQueue()
    queue.add_backlog("/f", UnreadFile(0, 1000))
    presence = Presence(made[0].database, made[0].id, queue)
    presence.tell()
    with ReadPool(lambda: log.url).reading() as reader:
        (host,) = list_hosts(reader, HostQuestion()).rows
        assert (host.host, host.alive, host.backlog_bytes) == ("a", True, 1000)
        assert 0 <= host.lag_seconds < 60
        made[0].database.close()
        # The server releases the lease when it notices that the connection has ended.
        wait_until(lambda: not list_hosts(reader, HostQuestion()).rows[0].alive, "its end")
