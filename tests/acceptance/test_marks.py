"""What readers are told beside the events: a notification, and whose copy a turn is."""

from __future__ import annotations

import select
from pathlib import Path

import psycopg2
import pytest

import lines
from claude_headspace.inbox import put
from claude_headspace.store.writer import EVENTS_CHANNEL
from faults.load import append
from faults.machine import query, wait_for
from faults.watched import Watched, watched

SETTINGS = {"file_watcher": {"inactivity_timeout_seconds": 10**8}}


def transcript(it: Watched, session: str) -> Path:
    path = it.projects / "p" / f"{session}.jsonl"
    path.parent.mkdir(exist_ok=True)
    return path


@pytest.mark.parametrize("way", ["line", "inbox"])
def test_readers_are_notified_of_what_was_captured(
    tmp_path: Path, database_url: str, way: str
) -> None:
    session = lines.new_session()
    with watched(tmp_path, database_url, settings=SETTINGS) as it:
        it.wait_state("capturing")
        listener = psycopg2.connect(database_url)
        try:
            listener.autocommit = True
            listener.cursor().execute(f"LISTEN {EVENTS_CHANNEL}")
            if way == "line":
                append(transcript(it, session), lines.joined(lines.user(session, "x")))
            else:
                hook = {"hook_type": "Stop", "claude_session_id": session}
                put(it.inbox, "hook_received", {**hook, "working_directory": "/w"})
            assert select.select([listener], [], [], 30)[0], "no notification within 30 s"
            assert query(database_url, "SELECT count(*) > 0 FROM events") == [(True,)]
        finally:
            listener.close()


def copies(url: str, session: str) -> list[tuple[str, str | None]]:
    rows = query(
        url,
        "SELECT payload->>'text', annotations->>'copy_of' FROM events"
        " WHERE event_type = 'turn_detected' AND session_uuid = %s ORDER BY id",
        (session,),
    )
    return [(row[0], row[1]) for row in rows]


@pytest.mark.parametrize("told", [True, False], ids=["told", "untold"])
def test_turns_of_a_fork_are_marked_as_copies(
    tmp_path: Path, database_url: str, told: bool
) -> None:
    original, fork = lines.new_session(), lines.new_session()
    said = [lines.user(original, "one"), lines.assistant(original, "two", at=1)]
    copied = [{**record, "sessionId": fork} for record in said]
    if told:
        for record in copied:
            origin = {"sessionId": original, "messageUuid": record["uuid"]}
            record["forkedFrom"] = origin
    own = lines.user(fork, "mine", at=100)
    with watched(tmp_path, database_url, settings=SETTINGS) as it:
        append(transcript(it, original), lines.joined(*said))
        wait_for(lambda: len(copies(database_url, original)) == 2, "the original", 30)
        append(transcript(it, fork), lines.joined(*copied, own))
        marked = [("one", original), ("two", original), ("mine", None)]
        wait_for(lambda: copies(database_url, fork) == marked, "the copies are not marked", 30)
        assert copies(database_url, original) == [("one", None), ("two", None)]
    forks = "SELECT forked_from::text FROM agents WHERE session_uuid = %s"
    assert query(database_url, forks, (fork,)) == [(original,)]
