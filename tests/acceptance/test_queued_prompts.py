"""Prompts typed while Claude works, with a real watcher: once, whatever happens in between."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import lines
from harness import Log, Projects, Watcher, assert_exactly_captured, unread, wait_until

SECRET = "the key is sk-ant-api03-" + "Ab1" * 30
NEVER = 600


def texts(log: Log, session: str) -> list[str]:
    """What a person said in a session, in the order of the log."""
    return [turn.text for turn in log.turns() if (turn.session, turn.actor) == (session, "user")]


def conversation(session: str, *, attached: bool) -> list[lines.Record]:
    """A prompt typed while a tool runs, as clients write it with and without attachments."""
    typed = lines.queue(session, "enqueue", at=1, content="and quickly")
    attachment = lines.attachment(session, "and quickly", at=1)
    return [
        lines.user(session, "do it"),
        typed,
        lines.queue(session, "remove", at=2),
        lines.user(session, [lines.tool_result()], at=3),
        *([attachment] if attached else []),
        lines.assistant(session, "Done.", at=4),
        lines.user(session, "thanks", at=5),
    ]


def write(path: Path, *records: lines.Record) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(lines.joined(*records))


def is_read(projects: Projects, log: Log) -> bool:
    return unread(projects, log) == 0


def test_killed_after_every_line(projects: Projects, log: Log, watcher: Watcher) -> None:
    watcher.settings["FILE_WATCHER__FINAL_LINE_WAIT_SECONDS"] = NEVER
    plain, attached = lines.new_session(), lines.new_session()
    files = {
        plain: conversation(plain, attached=False),
        attached: conversation(attached, attached=True),
    }
    for number in range(7):
        for session, records in files.items():
            write(projects.path(session), *records[number : number + 1])
        watcher.start()
        wait_until(partial(is_read, projects, log), "all lines so far")
        watcher.kill()
    with watcher.running():
        assert_exactly_captured(projects, log)
    assert texts(log, plain) == texts(log, attached) == ["do it", "and quickly", "thanks"]
    assert log.value("SELECT sum((counts->>'duplicates')::int) FROM checkpoints") == 0


def test_killed_anywhere_and_read_again(projects: Projects, log: Log, watcher: Watcher) -> None:
    """The checkpoint goes back to the file's beginning, as after a crash of Postgres."""
    session = lines.new_session()
    write(projects.path(session), *conversation(session, attached=False))
    with watcher.running():
        assert_exactly_captured(projects, log)
    before = log.fingerprint()
    log.rows("UPDATE checkpoints SET committed_offset = 0, inode = NULL, state = '', counts = '{}'")
    with watcher.running():
        wait_until(partial(is_read, projects, log), "all lines once more")
        assert_exactly_captured(projects, log)
    assert log.fingerprint() == before


def test_at_the_end_of_a_still_file_it_is_told(
    projects: Projects, log: Log, watcher: Watcher
) -> None:
    session = lines.new_session()
    path = projects.path(session)
    records = conversation(session, attached=True)
    watcher.settings["FILE_WATCHER__FINAL_LINE_WAIT_SECONDS"] = NEVER
    write(path, *records[:4])
    with watcher.running():
        wait_until(partial(is_read, projects, log), "the lines")
        assert texts(log, session) == ["do it"]
    watcher.settings["FILE_WATCHER__FINAL_LINE_WAIT_SECONDS"] = 0.2
    with watcher.running():
        wait_until(lambda: texts(log, session) == ["do it", "and quickly"], "told after a restart")
    with watcher.running():
        watcher.wait_ready()
        # Its own line comes after all: it is told by that one alone.
        write(path, *records[4:])
        assert_exactly_captured(projects, log)
    assert texts(log, session) == ["do it", "and quickly", "thanks"]
    assert log.value("SELECT count(*) FROM events WHERE retracted_at IS NOT NULL") == 1
    assert log.value("SELECT (counts->>'turns')::int FROM checkpoints") == 4


def test_told_live_when_the_file_has_been_still(
    projects: Projects, log: Log, watcher: Watcher
) -> None:
    session = lines.new_session()
    records = conversation(session, attached=False)
    with watcher.running():
        watcher.wait_ready()
        write(projects.path(session), *records[:3])
        wait_until(lambda: texts(log, session) == ["do it", "and quickly"], "told in time")
        write(projects.path(session), *records[3:])
        assert_exactly_captured(projects, log)
    assert texts(log, session) == ["do it", "and quickly", "thanks"]


def test_a_file_that_repeats_one_tells_it_once(
    projects: Projects, log: Log, watcher: Watcher
) -> None:
    session, other = lines.new_session(), lines.new_session()
    path = projects.path(session)
    write(path, *conversation(session, attached=False))
    write(path.with_name("copy.jsonl"), *conversation(session, attached=False)[1:3])
    write(path.with_name("copy.jsonl"), lines.assistant(session, "Done.", at=4))
    with watcher.running():
        wait_until(partial(is_read, projects, log), "both files")
        projects.say(other, "after them")
        wait_until(lambda: texts(log, other) == ["after them"], "the watcher goes on")
    assert texts(log, session).count("and quickly") == 1
    assert "Traceback" not in watcher.told()


def test_redacted_no_secret_waits_in_the_state(
    projects: Projects, log: Log, watcher: Watcher
) -> None:
    watcher.settings["PRIVACY__REDACT"] = True
    watcher.settings["FILE_WATCHER__FINAL_LINE_WAIT_SECONDS"] = NEVER
    session = lines.new_session()
    path = projects.path(session)
    write(
        path,
        lines.user(session, "do it"),
        lines.queue(session, "enqueue", content=SECRET),
        lines.queue(session, "enqueue", content=SECRET),
        lines.queue(session, "remove"),
    )
    with watcher.running():
        wait_until(partial(is_read, projects, log), "the lines")
        state = log.value("SELECT state FROM checkpoints")
        assert "the key is [redacted:" in state
        assert "Ab1" not in state
        write(path, lines.assistant(session, "No."))
        wait_until(lambda: len(texts(log, session)) == 2, "the prompt")
    assert texts(log, session)[1].startswith("the key is [redacted:")


def test_of_a_session_that_is_left_alone_nothing_is_counted_or_taken_back(
    projects: Projects, log: Log, watcher: Watcher
) -> None:
    watcher.settings["FILE_WATCHER__SESSIONS"] = "registered"
    session = lines.new_session()
    path = projects.path(session)
    records = conversation(session, attached=True)
    counts = "SELECT (counts->>'turns')::int, (counts->'other'->>'not_registered')::int"
    with watcher.running():
        write(path, *records[:3])
        told = (0, 3)
        wait_until(lambda: log.rows(f"{counts} FROM checkpoints") == [told], "told early")
        write(path, *records[3:])
        wait_until(partial(is_read, projects, log), "the rest")
    assert log.value("SELECT (counts->>'turns')::int FROM checkpoints") == 0
