"""The database comes back without the last of what it had: the log is whole again all the same.

To a client a failover to a standby that lags looks like this: the connection is lost, and on the
next one rows are as they were a while ago.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2

from claude_headspace.inbox import put
from claude_headspace.watcher.lease import APPLICATION_NAME
from faults.count import Count, committed, count
from faults.load import append, transcripts
from faults.machine import query, wait_for
from faults.watched import Watched, watched

_FAIL_OVER = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s"
    " AND datname = current_database()"
)
_WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
    " AND datname = current_database() AND wait_event_type = 'Lock'"
)


@contextmanager
def standing_still(url: str) -> Iterator[Any]:
    """A cursor of one transaction in which the log takes no events; committed at the end."""
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("LOCK TABLE events IN EXCLUSIVE MODE")
            yield cursor
    finally:
        connection.close()


def fail_over(url: str, *taken_back: str) -> None:
    """The log loses what the statements take away, and the watcher its connection."""
    for statement in taken_back:
        query(url, statement)
    query(url, _FAIL_OVER, (APPLICATION_NAME,))


def kept(it: Watched) -> list[Path]:
    return [path for path in (it.inbox / "done").rglob("*.json") if path.is_file()]


def hook(number: int, **more: Any) -> dict[str, Any]:
    named = {"hook_type": "Stop", "claude_session_id": str(number), "working_directory": "/w"}
    return {**named, **more}


def logged(url: str) -> list[int]:
    rows = query(
        url,
        "SELECT (payload->>'claude_session_id')::int FROM events"
        " WHERE event_type = 'hook_received' ORDER BY id",
    )
    return [row[0] for row in rows]


def left(it: Watched, *numbers: int, **more: Any) -> None:
    """Events that were left in the inbox and taken in."""
    for number in numbers:
        put(it.inbox, "hook_received", hook(number, **more))
    wait_for(lambda: not list((it.inbox / "new").iterdir()), "the inbox is not taken in", 30)


def test_a_batch_in_flight_is_not_written_where_its_checkpoint_has_gone_back(
    tmp_path: Path, database_url: str
) -> None:
    with watched(tmp_path, database_url) as it:
        files = transcripts(it.projects, 1)
        append(files[0].path, b"".join(files[0].turn() for _ in range(20)))
        assert committed(database_url, files) == Count()
        with standing_still(database_url) as cursor:
            append(files[0].path, b"".join(files[0].turn() for _ in range(20)))
            wait_for(
                lambda: query(database_url, _WAITING, (APPLICATION_NAME,)) == [(1,)], "no write"
            )
            cursor.execute(
                "DELETE FROM events WHERE event_type = 'turn_detected';"
                " UPDATE checkpoints SET committed_offset = 0, checksum = 0, head = 0, tail = 0,"
                " counts = '{}', inode = NULL, mtime_ns = NULL"
            )
            cursor.execute(_FAIL_OVER, (APPLICATION_NAME,))
        assert committed(database_url, files, 20) == Count()


def test_a_session_whose_registration_went_back_is_registered_before_its_next_turn(
    tmp_path: Path, database_url: str
) -> None:
    """Although the checkpoint of the file with the turn did not."""
    with watched(tmp_path, database_url) as it:
        files = transcripts(it.projects, 1)
        append(files[0].path, files[0].turn())
        assert committed(database_url, files) == Count()
        with standing_still(database_url) as cursor:
            append(files[0].path, files[0].turn())
            wait_for(
                lambda: query(database_url, _WAITING, (APPLICATION_NAME,)) == [(1,)], "no write"
            )
            cursor.execute(
                "DELETE FROM events WHERE event_type = 'session_registered';"
                " UPDATE agents SET announced = false"
            )
            cursor.execute(_FAIL_OVER, (APPLICATION_NAME,))
        assert committed(database_url, files, 20) == Count()
    kinds = query(
        database_url,
        "SELECT event_type FROM events WHERE event_type <> 'session_ended' ORDER BY id",
    )
    assert kinds == [("turn_detected",), ("session_registered",), ("turn_detected",)]


def test_events_of_the_inbox_that_the_log_lost_are_taken_in_again(
    tmp_path: Path, database_url: str
) -> None:
    with watched(tmp_path, database_url) as it:
        left(it, 1, 2, 3, 4)
        assert len(kept(it)) == 4
        fail_over(database_url, "DELETE FROM events WHERE payload->>'claude_session_id' > '2'")
        wait_for(lambda: logged(database_url) == [1, 2, 3, 4], "they are not in the log again")
        assert "the log has lost 2 events" in it.log


def test_what_was_deleted_from_the_middle_of_the_log_does_not_come_back(
    tmp_path: Path, database_url: str
) -> None:
    with watched(tmp_path, database_url) as it:
        left(it, 1, 2, 3)
        fail_over(database_url, "DELETE FROM events WHERE payload->>'claude_session_id' = '2'")
        left(it, 4)
        assert logged(database_url) == [1, 3, 4]


def test_a_rejected_event_that_the_log_lost_is_rejected_again(
    tmp_path: Path, database_url: str
) -> None:
    rejected = "SELECT reason FROM dead_letters"
    with watched(tmp_path, database_url) as it:
        left(it, 1)
        put(it.inbox, "hook_received", {"hook_type": "Stop"})
        left(it)
        assert query(database_url, rejected) == [("refused",)]
        fail_over(database_url)
        left(it, 2)
        assert "the log has lost" not in it.log
        fail_over(
            database_url,
            "DELETE FROM dead_letters",
            "DELETE FROM events WHERE payload->>'claude_session_id' = '2'",
        )
        wait_for(lambda: query(database_url, rejected) == [("refused",)], "it is not rejected")
        wait_for(lambda: logged(database_url) == [1, 2], "they are not in the log again")


def test_nothing_is_kept_where_nothing_shall_be(tmp_path: Path, database_url: str) -> None:
    settings = {"inbox": {"keep_seconds": 0}}
    with watched(tmp_path, database_url, settings=settings) as it:
        left(it, 1)
        assert kept(it) == []


def test_what_is_kept_is_redacted(tmp_path: Path, database_url: str) -> None:
    secret = "ghp_" + "a1" * 20
    settings = {"privacy": {"redact": True, "patterns": []}}
    with watched(tmp_path, database_url, settings=settings) as it:
        left(it, 1, message=f"token {secret}")
        (it.inbox / "new" / "1-x.json").write_text(f'{{"half": "{secret}')
        left(it, 2)
        contents = {path: path.read_text() for path in kept(it)}
        assert len(contents) == 3
        assert not any(secret in content for content in contents.values())
        fail_over(database_url, "DELETE FROM events", "DELETE FROM dead_letters")
        wait_for(lambda: logged(database_url) == [1, 2], "they are not in the log again")


def test_turns_and_inbox_together(tmp_path: Path, database_url: str) -> None:
    with watched(tmp_path, database_url) as it:
        files = transcripts(it.projects, 3)
        for transcript in files:
            append(transcript.path, b"".join(transcript.turn() for _ in range(10)))
        left(it, 1)
        assert committed(database_url, files) == Count()
        fail_over(
            database_url,
            "DELETE FROM events; DELETE FROM agents; DELETE FROM checkpoints",
        )
        assert committed(database_url, files, 30) == Count()
        wait_for(lambda: logged(database_url) == [1], "the event is not in the log again")
        assert count(database_url, files) == Count()


def test_a_session_whose_end_was_lost_without_its_event_is_ended_again(
    tmp_path: Path, database_url: str
) -> None:
    session = str(uuid.uuid4())
    ended = "SELECT ended_at IS NOT NULL FROM agents"
    with watched(tmp_path, database_url) as it:
        for kind in ("SessionStart", "SessionEnd", "Stop"):
            put(it.inbox, "hook_received", hook(0, hook_type=kind, claude_session_id=session))
        left(it, 1)
        assert query(database_url, ended) == [(True,)]
        before = query(database_url, "SELECT id, event_type FROM events ORDER BY id")
        fail_over(database_url, "UPDATE agents SET ended_at = NULL, end_reason = NULL")
        wait_for(lambda: query(database_url, ended) == [(True,)], "it is not ended again", 20)
        assert query(database_url, "SELECT id, event_type FROM events ORDER BY id") == before
        assert "the log has lost" not in it.log
