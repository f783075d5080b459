"""Events that programs leave in the inbox come into the log once each, in order."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from claude_headspace.inbox import put
from claude_headspace.inbox.messages import list_messages
from faults.machine import Machine, machine, query, wait_for
from faults.watched import Watched, watched

PRODUCER = """
import sys
from claude_headspace.inbox import put
name, inbox, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
for number in range(count):
    put(inbox, "hook_received", {
        "hook_type": "PostToolUse", "claude_session_id": name,
        "working_directory": "/home/u/app", "tool_name": str(number)})
"""


def produce(name: str, inbox: Path, count: int) -> subprocess.Popen[bytes]:
    """A program of its own that leaves so many numbered events."""
    arguments = [sys.executable, "-I", "-c", PRODUCER, name, str(inbox), str(count)]
    return subprocess.Popen(arguments)


def stored(url: str) -> list[tuple[str, int]]:
    """(producer, number) of each event in the order of the log."""
    rows = query(
        url,
        "SELECT payload->>'claude_session_id', (payload->>'tool_name')::int FROM events"
        " WHERE event_type = 'hook_received' ORDER BY id",
    )
    return [(name, number) for name, number in rows]


def assert_each_once_in_order(url: str, names: list[str], count: int) -> None:
    """Exactly the numbers of each producer, each once, in the order put."""
    found = stored(url)
    assert len(found) == len(names) * count
    for name in names:
        assert [number for producer, number in found if producer == name] == list(range(count))


@pytest.fixture(scope="module")
def server() -> Iterator[Machine]:
    with machine() as it:
        yield it


def waiting(it: Watched) -> int:
    return len(list((it.inbox / "new").iterdir()))


@pytest.mark.parametrize("seed", [1, 2])
def test_a_thousand_events_of_several_programs_through_kills_and_outages(
    server: Machine, tmp_path: Path, seed: int
) -> None:
    rnd = random.Random(seed)
    names, each = [f"producer-{number}" for number in range(4)], 250
    with server.database() as url, watched(tmp_path, url) as it:
        producers = [produce(name, it.inbox, each) for name in names]
        deadline = time.monotonic() + 30
        faults = [it.restart, it.restart, server.crash, server.terminate]
        rnd.shuffle(faults)
        for fault in faults:
            time.sleep(rnd.uniform(0.05, 0.3))
            fault()
            if fault == server.crash:
                server.start()
        for producer in producers:
            assert producer.wait(max(1.0, deadline - time.monotonic())) == 0
        wait_for(lambda: waiting(it) == 0, "the inbox is empty")
        assert_each_once_in_order(url, names, each)


def test_the_database_is_away_when_they_are_put(server: Machine, tmp_path: Path) -> None:
    with server.database() as url, watched(tmp_path, url) as it:
        it.wait_state("capturing")
        server.stop()
        assert produce("while-away", it.inbox, 300).wait(60) == 0
        it.restart()
        it.wait_state("waiting")
        assert waiting(it) == 300
        server.start()
        wait_for(lambda: waiting(it) == 0, "the inbox is empty")
        assert_each_once_in_order(url, ["while-away"], 300)


def test_no_watcher_runs_when_they_are_put(tmp_path: Path, database_url: str) -> None:
    it = Watched(tmp_path, database_url)
    assert produce("before", it.inbox, 200).wait(60) == 0
    with watched(tmp_path, database_url) as it:
        wait_for(lambda: waiting(it) == 0, "the inbox is empty")
    assert_each_once_in_order(database_url, ["before"], 200)


def test_put_twice_under_one_id_it_is_one_event(tmp_path: Path, database_url: str) -> None:
    with watched(tmp_path, database_url) as it:
        identity = str(uuid.uuid4())
        for _ in range(2):
            put(it.inbox, "hook_received", hook("twice", 0), event_id=identity)
        put(it.inbox, "hook_received", hook("last", 0))
        wait_for(lambda: ("last", 0) in stored(database_url), "the last one")
        assert stored(database_url) == [("twice", 0), ("last", 0)]
        wait_for(lambda: waiting(it) == 0, "the inbox is empty")


def test_what_is_no_event_is_kept_and_holds_nothing_up(tmp_path: Path, database_url: str) -> None:
    it = Watched(tmp_path, database_url)
    put(it.inbox, "hook_received", hook("good", 0))
    damaged: list[bytes] = [
        b"", b"{", b"[]", b"\0\xff\xfe", b'{"id": 1}', b'{"a":' * 5_000,
    ]  # fmt: skip
    for number, content in enumerate(damaged):
        (it.inbox / "new" / f"0000000000000000000{number}-x.json").write_bytes(content)
    put(it.inbox, "no_such_type", {})
    put(it.inbox, "hook_received", {"hook_type": "Stop"})
    put(it.inbox, "hook_received", hook("good", 1))
    with watched(tmp_path, database_url) as it:
        wait_for(lambda: waiting(it) == 0, "the inbox is empty")
        assert it.alive()
    assert_each_once_in_order(database_url, ["good"], 2)
    reasons = query(database_url, "SELECT reason, count(*)::int FROM dead_letters GROUP BY reason")
    assert dict(reasons) == {"damaged": len(damaged), "refused": 2}


def hook(name: str, number: int) -> dict[str, Any]:
    return {
        "hook_type": "PostToolUse",
        "claude_session_id": name,
        "working_directory": "/home/u/app",
        "tool_name": str(number),
    }


FILLER = """
import os, sys
for number in range(10_000):
    draft = os.path.join(sys.argv[1], "draft")
    os.close(os.open(draft, os.O_CREAT | os.O_WRONLY))
    name = f"{number:020d}-0000000001-{number:08d}-00000000.json"
    os.rename(draft, os.path.join(sys.argv[1], "new", name))
"""


@pytest.mark.long
def test_a_list_of_messages_never_holds_one_without_those_before_it(tmp_path: Path) -> None:
    """While files are being added, reading a large directory may show a later one only."""
    (tmp_path / "new").mkdir()
    filler = subprocess.Popen([sys.executable, "-I", "-c", FILLER, str(tmp_path)])
    gaps = 0
    while filler.poll() is None:
        found = [int(path.name.partition("-")[0]) for path in list_messages(tmp_path)]
        gaps += found != list(range(len(found)))
    assert filler.returncode == 0
    assert gaps == 0


def test_a_reference_that_does_not_exist_is_a_rejected_event(
    tmp_path: Path, database_url: str
) -> None:
    transition = {
        "agent_id": 987_654, "command_id": 1, "from_state": "idle", "to_state": "commanded",
        "trigger": "manual",
    }  # fmt: skip
    with watched(tmp_path, database_url) as it:
        put(it.inbox, "state_transition", transition)
        put(it.inbox, "hook_received", hook("after", 0))
        wait_for(lambda: stored(database_url) == [("after", 0)], "the event behind it")
        wait_for(lambda: waiting(it) == 0, "the inbox is empty")
    assert query(database_url, "SELECT reason FROM dead_letters") == [("refused",)]
    assert query(database_url, "SELECT count(*)::int FROM agents") == [(0,)]
    only = query(database_url, "SELECT DISTINCT event_type FROM events")
    assert only == [("hook_received",)]


def test_foreign_names_and_texts_that_postgres_refuses_stop_nothing(
    tmp_path: Path, database_url: str
) -> None:
    it = Watched(tmp_path, database_url)
    put(it.inbox, "hook_received", hook("good", 0))
    for name in ("1abc.json", "1700000000.M1P2.host", "99999999999999999999-x.json"):
        (it.inbox / "new" / name).write_bytes(b"no event")
    (Path(os.fsdecode(os.fsencode(it.inbox / "new") + b"/\xff.json"))).write_bytes(b"no event")
    put(it.inbox, "hook_received", {**hook("bad key", 0), "a\0b\ud800": 1})
    times = ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00")
    for number, moment in enumerate(times):
        event = {"id": str(uuid.uuid4()), "type": "hook_received", "timestamp": moment}
        content = json.dumps({**event, "payload": hook("bad time", number)})
        (it.inbox / "new" / f"{number}-time.json").write_text(content)
    put(it.inbox, "hook_received", hook("good", 1))
    with watched(tmp_path, database_url) as it:
        wait_for(lambda: waiting(it) == 0, "the inbox is empty")
        assert it.alive()
    assert_each_once_in_order(database_url, ["good"], 2)
    assert query(database_url, "SELECT count(*)::int FROM dead_letters") == [(7,)]
