"""One line through capture, step by step: read, classified, attributed, written, committed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import pytest

import lines
from capturing_desk import Desk
from claude_headspace.errors import DatabaseUnavailable
from claude_headspace.store.writer import EVENTS_CHANNEL
from harness import Log, Projects

SECRET = "ghp_" + "a1" * 20


@pytest.fixture
def desk(tmp_path: Path, projects: Projects, log: Log) -> Iterator[Desk]:
    made = Desk(tmp_path, projects, log)
    yield made
    made.sources.reload()
    made.database.close()


@pytest.fixture
def session() -> str:
    return lines.new_session()


@contextmanager
def listening(url: str) -> Iterator[Callable[[], list[str]]]:
    """Notifications of the log that have come by now."""
    connection = psycopg2.connect(url)
    connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute(f"LISTEN {EVENTS_CHANNEL}")

    def heard() -> list[str]:
        cursor.execute("SELECT 1")
        found = [notification.channel for notification in connection.notifies]
        connection.notifies.clear()
        return found

    try:
        yield heard
    finally:
        connection.close()


def test_a_session_is_registered_before_its_first_turn_and_once(desk: Desk, session: str) -> None:
    path = desk.write(session, lines.user(session, "a"))
    offset = path.stat().st_size
    desk.write(session, lines.assistant(session, "b"))
    desk.take(path)
    desk.take(desk.write(session, lines.user(session, "c")))
    assert [kind for kind, _ in desk.kinds()] == [
        "session_registered", "turn_detected", "turn_detected", "turn_detected",
    ]  # fmt: skip
    assert [place for _, place in desk.kinds()][:3] == [0, 0, offset]


def test_an_empty_file_has_no_row_until_something_is_in_it(desk: Desk, session: str) -> None:
    path = desk.projects.path(session)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    assert desk.sources.open(str(path)) == []
    assert desk.log.rows("SELECT path FROM checkpoints") == []
    desk.take(desk.write(session, lines.user(session, "a")))
    assert desk.log.texts(session) == ["a"]


def test_what_was_written_is_notified_once_it_is_committed(desk: Desk, session: str) -> None:
    with listening(desk.log.url) as heard:
        desk.take(desk.write(session, lines.user(session, "a")))
        assert heard() == [EVENTS_CHANNEL], "readers would look by the clock alone"
        desk.take(desk.projects.path(session))
        assert heard() == [], "nothing was written"


def test_what_is_rejected_is_kept_without_its_secrets(desk: Desk, session: str) -> None:
    path = desk.write(session, lines.user(session, "a"))
    desk.projects.append(path, b'{"type": "user", "message": "' + SECRET.encode() + b"\n")
    desk.take(path)
    ((reason, content),) = desk.log.rows("SELECT reason, content FROM dead_letters")
    assert bytes(content).endswith(b"[redacted:github_token]")
    assert desk.rejected == {reason: 1}


def test_what_postgres_refuses_is_kept_without_its_secrets(desk: Desk, session: str) -> None:
    desk.log.rows(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '22023'; END $$;"
        " CREATE TRIGGER refuse BEFORE INSERT ON events FOR EACH ROW"
        " WHEN (NEW.payload->>'text' LIKE 'refused%') EXECUTE FUNCTION refuse()"
    )
    path = desk.write(session, lines.user(session, "a"), lines.user(session, f"refused {SECRET}"))
    desk.take(path)
    assert desk.log.texts(session) == ["a"]
    ((reason, content),) = desk.log.rows("SELECT reason, content FROM dead_letters")
    assert (reason, SECRET.encode() in bytes(content)) == ("refused", False)
    assert desk.checkpoint(path)[0] == path.stat().st_size


def test_a_copied_turn_names_its_original_from_the_start(desk: Desk, session: str) -> None:
    original = lines.new_session()
    said = lines.user(original, "one")
    origin = {"sessionId": original, "messageUuid": said["uuid"]}
    copied = {**said, "sessionId": session, "forkedFrom": origin}
    desk.take(desk.write(session, copied, lines.user(session, "mine", at=100)))
    assert desk.log.rows(
        "SELECT payload->>'text', annotations->>'copy_of' FROM events"
        " WHERE event_type = 'turn_detected' ORDER BY id"
    ) == [("one", original), ("mine", None)]


def test_a_batch_is_given_up_with_the_connection_it_was_read_over(desk: Desk, session: str) -> None:
    """What is written over the next one was read anew, from where the log is by then."""
    path = desk.write(session, lines.user(session, "a"), lines.user(session, "b"))
    desk.take(path)
    desk.log.rows(
        "DELETE FROM events WHERE payload->>'text' = 'b'; UPDATE checkpoints"
        " SET committed_offset = 0, checksum = 0, head = 0, tail = 0, inode = NULL, counts = '{}'"
    )
    (backend,) = desk.log.other_backends()
    desk.write(session, lines.user(session, "c"))
    desk.log.rows("SELECT pg_terminate_backend(%s, 10000)", (backend,))
    for _ in range(2):
        with pytest.raises(DatabaseUnavailable):
            desk.take(path)
    assert desk.log.texts(session) == ["a"]
    desk.clear()
    desk.take(path)
    assert desk.log.texts(session) == ["a", "b", "c"]
    offset, counts = desk.checkpoint(path)
    assert (offset, counts["turns"]) == (path.stat().st_size, 3)


def test_a_failed_write_commits_nothing(desk: Desk, session: str) -> None:
    path = desk.write(session, lines.user(session, "a"))
    desk.take(path)
    before = desk.checkpoint(path)
    desk.log.rows("ALTER TABLE events RENAME TO away")
    desk.write(session, lines.user(session, "b"))
    with pytest.raises(DatabaseUnavailable):
        desk.take(path)
    assert desk.checkpoint(path) == before
    desk.log.rows("ALTER TABLE away RENAME TO events")
    desk.clear()
    desk.take(path)
    assert desk.log.texts(session) == ["a", "b"]


def test_lines_of_a_session_that_is_left_alone_are_passed_and_counted(
    tmp_path: Path, projects: Projects, log: Log, session: str
) -> None:
    desk = Desk(tmp_path, projects, log, mode="registered")
    path = desk.write(session, lines.user(session, "a"), lines.assistant(session, "b"))
    desk.take(path)
    offset, counts = desk.checkpoint(path)
    assert (offset, counts["other"]) == (path.stat().st_size, {"not_registered": 2})
    assert desk.kinds() == []
    assert log.value("SELECT sessions::text[] FROM checkpoints") == [session]
    desk.database.close()


def test_nothing_is_remembered_of_a_session_that_is_left_alone(
    tmp_path: Path, projects: Projects, log: Log, session: str
) -> None:
    """Neither a prompt that waits, also of one forgotten meanwhile, nor a damaged line."""
    desk = Desk(tmp_path, projects, log)
    path = desk.write(session, lines.queue(session, "enqueue", content="hush"))
    desk.take(path)
    assert "hush" in log.value("SELECT state FROM checkpoints")
    log.rows("INSERT INTO tombstones (session_uuid, keep_turns) VALUES (%s, false)", (session,))
    desk.sessions.reload()
    projects.append(path, b'{"type":"user","message":"hush\n')
    desk.take(desk.write(session, lines.queue(session, "enqueue", content="hush again")))
    assert log.value("SELECT state FROM checkpoints") == ""
    assert [bytes(row[0]) for row in log.rows("SELECT content FROM dead_letters")] == [b""]
    desk.database.close()


def test_two_hosts_with_a_file_of_one_path_have_a_position_each(
    tmp_path: Path, projects: Projects, log: Log, session: str
) -> None:
    """The same lines read on another machine are no new events."""
    first = Desk(tmp_path, projects, log)
    path = first.write(session, lines.user(session, "a"), lines.user(session, "b"))
    first.take(path)
    before = log.fingerprint()
    second = Desk(tmp_path, projects, log, host="another")
    second.take(path)
    assert log.fingerprint() == before
    assert second.checkpoint(path)[1]["duplicates"] == 2
    assert first.checkpoint(path)[1]["turns"] == 2
    for each in (first, second):
        each.database.close()


def test_a_rewritten_file_is_read_from_its_beginning(desk: Desk, session: str) -> None:
    path = desk.write(session, lines.user(session, "a"), lines.user(session, "b"))
    desk.take(path)
    path.write_bytes(lines.joined(*(lines.user(session, text) for text in ("x", "y", "z"))))
    desk.take(path)
    assert desk.log.texts(session) == ["a", "b", "x", "y", "z"]
    assert desk.checkpoint(path)[1]["lines"] == 3


def test_a_line_that_is_no_turn_is_counted_by_its_kind(desk: Desk, session: str) -> None:
    path = desk.write(session, lines.progress(session), lines.user(session, [lines.tool_result()]))
    desk.take(path)
    offset, counts = desk.checkpoint(path)
    assert offset == path.stat().st_size
    assert (counts["lines"], sum(counts["other"].values())) == (2, 2)
    assert "progress" in counts["other"]
    assert [kind for kind, _ in desk.kinds()] == ["session_registered"]


def test_the_last_line_counts_without_its_newline_only_if_it_is_whole(
    desk: Desk, session: str
) -> None:
    last = lines.raw(lines.user(session, "b"))
    path = desk.write(session, lines.user(session, "a"))
    desk.projects.append(path, last[:-5])
    (source,) = desk.sources.open(str(path))
    assert desk.capture.step(source).unfinished == len(last) - 5
    assert desk.capture.step_unfinished(source).lines == 0
    assert desk.log.texts(session) == ["a"]
    desk.projects.append(path, last[-5:])
    assert desk.capture.step_unfinished(source).lines == 1
    assert desk.log.texts(session) == ["a", "b"]


def test_after_a_later_checkpoint_that_failed_nothing_more_is_written(
    desk: Desk, session: str
) -> None:
    path = desk.write(session, *(lines.user(session, f"{number}") for number in range(1000)))
    (source,) = desk.sources.open(str(path))
    desk.log.rows("UPDATE checkpoints SET checksum = 1")
    assert desk.capture.step(source, later=True).more
    written = len(desk.log.texts(session))
    with pytest.raises(DatabaseUnavailable, match="was changed"):
        desk.capture.step(source, later=True)
    assert len(desk.log.texts(session)) == written < 1000
    desk.log.rows("UPDATE checkpoints SET checksum = 0")
    desk.clear()
    (source,) = desk.sources.open(str(path))
    while desk.capture.step(source, later=True).more:
        assert desk.checkpoint(path)[0] < path.stat().st_size
    assert desk.log.texts(session) == [f"{number}" for number in range(1000)]
    assert desk.checkpoint(path)[0] == path.stat().st_size


def three_read(desk: Desk, session: str) -> Path:
    """A file of three lines that were read; the next step finds its row in the database."""
    path = desk.write(session, *(lines.user(session, text) for text in "abc"))
    desk.take(path)
    desk.sources.reload()
    return path


def test_a_file_that_only_has_the_inode_of_a_known_one_does_not_get_its_row(
    desk: Desk, session: str
) -> None:
    path = three_read(desk, session)
    path.write_bytes(lines.joined(*(lines.user(session, text) for text in "vwxyz")))
    moved = path.rename(path.with_name("moved.jsonl"))
    desk.take(moved)
    assert desk.checkpoint(path)[1]["lines"] == 3, "the row has gone to another file's contents"
    assert desk.checkpoint(moved)[1]["lines"] == 5


def test_a_file_beside_that_only_has_the_inode_does_not_get_the_row(
    desk: Desk, session: str
) -> None:
    path = three_read(desk, session)
    path.write_bytes(lines.joined(*(lines.user(session, text) for text in "vwxyz")))
    path.rename(path.with_name(path.name + ".1"))
    desk.take(desk.write(session, lines.user(session, "n")))
    rows = desk.log.rows("SELECT path, (counts->>'lines')::int FROM checkpoints")
    assert rows == [(str(path), 1)], "the row has gone to another file's contents"


def test_a_renamed_file_keeps_its_row(desk: Desk, session: str) -> None:
    path = three_read(desk, session)
    moved = path.rename(path.with_name("moved.jsonl"))
    desk.projects.append(moved, lines.joined(lines.user(session, "d")))
    desk.take(moved)
    rows = desk.log.rows("SELECT path, (counts->>'lines')::int FROM checkpoints")
    assert rows == [(str(moved), 4)]
