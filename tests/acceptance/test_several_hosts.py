"""What people ask for a session holds on every host; hooks and lines come in their order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import lines
from claude_headspace.inbox import put
from faults.load import append
from faults.machine import query, wait_for
from faults.watched import Watched, watched

REGISTERED = {"file_watcher": {"sessions": "registered", "inactivity_timeout_seconds": 10**8}}
ALL = {"file_watcher": {"sessions": "all", "inactivity_timeout_seconds": 10**8}}


@contextmanager
def two_hosts(directory: Path, url: str, settings: dict[str, Any]) -> Iterator[list[Watched]]:
    """Two machines on one database."""
    places = [directory / name for name in ("a", "b")]
    for place in places:
        place.mkdir()
    made = [
        {**settings, "state": {"directory": str(place / "var"), "host": place.name}}
        for place in places
    ]
    with (
        watched(places[0], url, settings=made[0]) as a,
        watched(places[1], url, settings=made[1]) as b,
    ):
        for it in (a, b):
            it.wait_state("capturing")
        yield [a, b]


def say(it: Watched, session: str, *texts: str, folder: str = "p") -> Path:
    path = Path(os.fsdecode(os.fsencode(it.projects / folder))) / f"{session}.jsonl"
    path.parent.mkdir(exist_ok=True)
    append(path, lines.joined(*(lines.user(session, text) for text in texts)))
    return path


def hook(it: Watched, session: str, kind: str) -> None:
    payload = {"hook_type": kind, "claude_session_id": session, "working_directory": "/w"}
    put(it.inbox, "hook_received", payload)


def ask(it: Watched, command: str, session: str) -> None:
    """`register` or `unregister`, given on this host."""
    program = [sys.executable, "-I", "-m", "claude_headspace.cli", command, session]
    done = subprocess.run(program, env=it.environment, capture_output=True, check=False, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def turns(url: str, session: str) -> list[str]:
    rows = query(
        url,
        "SELECT payload->>'text' FROM events WHERE event_type = 'turn_detected'"
        " AND session_uuid = %s ORDER BY id",
        (session,),
    )
    return [row[0] for row in rows]


def passed_over(url: str, session: str, count: int) -> None:
    """Wait until so many lines of the session's file were read and not taken."""
    read = (
        "SELECT coalesce(sum((counts->'other'->>'not_registered')::int), 0)::int"
        " FROM checkpoints WHERE %s::uuid = ANY (sessions)"
    )
    wait_for(lambda: query(url, read, (session,)) == [(count,)], "the lines are not read", 30)


def kinds(url: str, session: str) -> list[str]:
    """What happened in a session, in the order of the log."""
    rows = query(
        url,
        "SELECT coalesce(payload->>'hook_type', payload->>'text', event_type) FROM events"
        " WHERE session_uuid = %s ORDER BY id",
        (session,),
    )
    return [row[0] for row in rows]


def test_a_registration_given_on_one_host_reaches_the_one_that_has_the_session(
    tmp_path: Path, database_url: str
) -> None:
    session = lines.new_session()
    with two_hosts(tmp_path, database_url, REGISTERED) as (a, b):
        say(b, session, "one", "two")
        passed_over(database_url, session, 2)
        ask(a, "register", session)
        say(b, session, "three")
        wait_for(
            lambda: turns(database_url, session) == ["one", "two", "three"], "turns are lost", 30
        )
        ask(a, "unregister", session)
        say(b, session, "four")
        passed_over(database_url, session, 1)
        assert turns(database_url, session) == ["one", "two", "three"]
        ask(b, "register", session)
        wait_for(lambda: len(turns(database_url, session)) == 4, "the fourth is lost", 30)


def test_a_host_that_stood_still_follows_what_the_other_has_followed_already(
    tmp_path: Path, database_url: str
) -> None:
    session = lines.new_session()
    with two_hosts(tmp_path, database_url, REGISTERED) as (_, b):
        say(b, session, "one")
        passed_over(database_url, session, 1)
        b.signal(signal.SIGSTOP)
        query(
            database_url,
            "INSERT INTO registrations (session_uuid, wanted) VALUES (%s, true);"
            " NOTIFY claude_headspace_registrations",
            (session,),
        )
        followed = "SELECT m.label FROM registration_hosts JOIN machines m ON m.id = machine"
        wait_for(lambda: query(database_url, followed) == [("a",)], "a does not follow", 30)
        b.signal(signal.SIGCONT)
        wait_for(lambda: turns(database_url, session) == ["one"], "the turn is lost", 30)


def test_a_host_leaves_the_sessions_of_others_as_they_are(
    tmp_path: Path, database_url: str
) -> None:
    session = lines.new_session()
    with two_hosts(tmp_path, database_url, ALL) as (a, b):
        say(b, session, "one")
        wait_for(lambda: turns(database_url, session) == ["one"], "the turn is lost", 30)
        for command in ("unregister", "register", "unregister"):
            ask(a, command, session)
        ends = "SELECT count(*)::int FROM events WHERE event_type = 'session_ended'"
        assert query(database_url, ends) == [(2,)]
        hosts = "SELECT p.host FROM agents JOIN places p ON p.id = project_id"
        assert query(database_url, hosts) == [("b",)]


def test_a_machine_that_is_called_otherwise_reads_nothing_again_and_ends_its_sessions(
    tmp_path: Path, database_url: str
) -> None:
    old, new = lines.new_session(), lines.new_session()
    with watched(tmp_path, database_url, settings=ALL) as it:
        say(it, old, "one")
        wait_for(lambda: turns(database_url, old) == ["one"], "the turn is lost", 30)
    it.configure(
        state={"host": "MacBook.fritz.box"}, file_watcher={"inactivity_timeout_seconds": 1}
    )
    try:
        it.start()
        say(it, old, "two")
        say(it, new, "one")
        wait_for(lambda: turns(database_url, old) == ["one", "two"], "the turn is lost", 30)
        ended = "SELECT session_uuid::text FROM agents WHERE ended_at IS NOT NULL ORDER BY id"
        wait_for(lambda: query(database_url, ended) == [(old,), (new,)], "not ended", 30)
        assert it.wait_state("capturing").duplicates == 0
    finally:
        it.kill()
    assert query(database_url, "SELECT host, count(*)::int FROM places GROUP BY 1") == [
        ("MacBook.fritz.box", 1)
    ]
    read = "SELECT path, count(*)::int, sum((counts->>'turns')::int)::int FROM checkpoints"
    assert query(database_url, f"{read} GROUP BY 1 ORDER BY 3 DESC") == [
        (str(it.projects / "p" / f"{old}.jsonl"), 1, 2),
        (str(it.projects / "p" / f"{new}.jsonl"), 1, 1),
    ]


@pytest.mark.parametrize("folder", [os.fsdecode(b"caf\xe9"), "/".join(["x" * 200] * 5)])
def test_a_session_at_an_odd_path_is_read_again(
    tmp_path: Path, database_url: str, folder: str
) -> None:
    session = lines.new_session()
    with watched(tmp_path, database_url, settings=REGISTERED) as it:
        (it.projects / folder).mkdir(parents=True)
        say(it, session, "one", "two", folder=folder)
        passed_over(database_url, session, 2)
        ask(it, "register", session)
        wait_for(lambda: turns(database_url, session) == ["one", "two"], "turns are lost", 30)


def test_a_session_that_begins_with_its_hook_has_the_lines_that_were_read_before(
    tmp_path: Path, database_url: str
) -> None:
    session = lines.new_session()
    with watched(tmp_path, database_url, settings=REGISTERED) as it:
        say(it, session, "one", "two")
        passed_over(database_url, session, 2)
        hook(it, session, "SessionStart")
        say(it, session, "three")
        wait_for(
            lambda: turns(database_url, session) == ["one", "two", "three"], "turns are lost", 30
        )


@pytest.mark.parametrize("settings", [ALL, REGISTERED], ids=["all", "registered"])
def test_hooks_and_lines_that_are_noticed_together(
    tmp_path: Path, database_url: str, settings: dict[str, Any]
) -> None:
    session = lines.new_session()
    with watched(tmp_path, database_url, settings=settings) as it:
        it.wait_state("capturing")
        it.signal(signal.SIGSTOP)
        hook(it, session, "SessionStart")
        say(it, session, "one", "two")
        hook(it, session, "SessionEnd")
        it.signal(signal.SIGCONT)
        wait_for(lambda: "session_ended" in kinds(database_url, session), "no end", 30)
    assert kinds(database_url, session) == [
        "session_registered", "SessionStart", "one", "two", "SessionEnd", "session_ended",
    ]  # fmt: skip


def test_a_session_that_came_and_went_while_no_watcher_ran(
    tmp_path: Path, database_url: str
) -> None:
    session, other = lines.new_session(), lines.new_session()
    it = Watched(tmp_path, database_url, settings=ALL)
    hook(it, session, "SessionStart")
    say(it, session, *(str(number) for number in range(500)))
    hook(it, session, "SessionEnd")
    hook(it, other, "SessionEnd")
    with watched(tmp_path, database_url, settings=ALL):
        wait_for(lambda: "session_ended" in kinds(database_url, session), "no end", 30)
    found = kinds(database_url, session)
    assert found[:2] == ["session_registered", "SessionStart"]
    assert found[2:-2] == [str(number) for number in range(500)]
    assert found[-2:] == ["SessionEnd", "session_ended"]


def test_an_end_waits_for_a_last_line_that_is_still_being_written(
    tmp_path: Path, database_url: str
) -> None:
    session, other = lines.new_session(), lines.new_session()
    with watched(tmp_path, database_url, settings=ALL) as it:
        path = say(it, session, "one")
        wait_for(lambda: turns(database_url, session) == ["one"], "the turn is lost", 30)
        last = lines.joined(lines.user(session, "two"))
        append(path, last[:50])
        hook(it, session, "SessionEnd")
        hook(it, other, "Stop")
        wait_for(lambda: "Stop" in kinds(database_url, other), "others wait too", 30)
        append(path, last[50:])
        wait_for(lambda: "session_ended" in kinds(database_url, session), "no end", 30)
    assert kinds(database_url, session)[1:] == ["one", "two", "SessionEnd", "session_ended"]
