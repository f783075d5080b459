"""`verify` proves that the log is whole, and finds what was damaged by hand."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import lines
from captured import capture, query, settings, watching
from claude_headspace.config import load_config
from claude_headspace.verify.command import VerifyOptions, run_verify
from claude_headspace.verify.compare import is_redacted_form
from claude_headspace.verify.progress import Progress
from claude_headspace.verify.reader import LineReader, line_around
from servers import PostgresServer

FIRST, SECOND, FORK = (str(uuid.UUID(int=number)) for number in (1, 2, 3))
LONG = "CLAUDE_HEADSPACE__FILE_WATCHER__MAX_LINE_BYTES"


def conversation(session: str, turns: int) -> list[lines.Record]:
    """User and assistant by turns, each pair followed by a line that is no turn."""
    records: list[lines.Record] = []
    for number in range(turns):
        speak = lines.assistant if number % 2 else lines.user
        records.append(speak(session, f"text {number}", at=number))
        if number % 2:
            records.append(lines.progress(session, at=number + 0.5))
    return records


def write_transcripts(projects: Path) -> None:
    """Two sessions, a fork of the second, damage of every kind, and a line without its end."""
    folder = projects / "-home-u-app"
    folder.mkdir(parents=True)
    first = conversation(FIRST, 30)
    (folder / f"{FIRST}.jsonl").write_bytes(lines.joined(*first) + lines.joined(*first[:4]))
    second = conversation(SECOND, 20)
    damaged = lines.raw(second[0])[:40] + lines.raw(lines.user(SECOND, "behind a torn one", at=90))
    unstorable = lines.user(SECOND, "zero \x00 and half \ud83d", at=91)
    too_long = lines.user(SECOND, "x" * 200_000, at=92)
    (folder / f"{SECOND}.jsonl").write_bytes(
        lines.joined(*second)
        + damaged
        + b"\n\n{]\n"
        + json.dumps(unstorable).encode()
        + b"\n"
        + lines.joined(too_long)
        + lines.raw(lines.user(SECOND, "without its end", at=93))
    )
    copies = [{**record, "sessionId": FORK} for record in second[:6]]
    (folder / f"{FORK}.jsonl").write_bytes(lines.joined(*copies, *conversation(FORK, 4)))


@dataclass
class Captured:
    """A log that holds all of the transcripts in `directory`."""

    url: str
    directory: Path
    environment: dict[str, str]

    def verify(self, **options: Any) -> tuple[int, dict[str, Any]]:
        output = io.StringIO()
        chosen = VerifyOptions(json=True, **options)
        config = load_config(self.environment)
        status = run_verify(config, chosen, output=output, terminal=io.StringIO())
        return status, json.loads(output.getvalue())

    def sql(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        return query(self.url, statement, *values)

    def path(self, session: str) -> Path:
        return self.directory / "projects" / "-home-u-app" / f"{session}.jsonl"


@pytest.fixture(scope="module")
def template(
    postgres_server: PostgresServer,
    schema_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[str, Path]]:
    """A database with everything captured, and the directory it was captured from."""
    directory = tmp_path_factory.mktemp("captured")
    write_transcripts(directory / "projects")
    with postgres_server.database(schema_template) as url:
        capture(url, directory, settings(url, directory, **{LONG: "150000"}))
        yield url.partition("?")[0].rpartition("/")[2], directory


@pytest.fixture
def captured(postgres_server: PostgresServer, template: tuple[str, Path]) -> Iterator[Captured]:
    name, directory = template
    with postgres_server.database(name) as url:
        yield Captured(url, directory, settings(url, directory, **{LONG: "150000"}))


def kinds(report: dict[str, Any]) -> dict[str, int]:
    counts: dict[str, int] = report["counts"]
    return counts


def test_a_whole_log_is_whole(captured: Captured) -> None:
    status, report = captured.verify()
    assert report["findings"] == []
    assert (status, kinds(report)) == (0, {})
    assert report["totals"]["in_both"] == 30 + 20 + 3 + 4 + 4
    assert report["totals"]["duplicates"] == 3
    assert report["rejected_lines"] == 3
    assert report["sessions"][FORK]["in_both"] == 8
    assert len(captured.sql("SELECT 1 FROM events WHERE event_type = 'turn_detected'")) == 61


Damage = Callable[[Captured], object]


def turn(captured: Captured, number: int = 10) -> int:
    """The id of one turn of the first session."""
    rows = captured.sql(
        "SELECT id FROM events WHERE session_uuid = %s AND event_type = 'turn_detected'"
        " ORDER BY id OFFSET %s LIMIT 1", FIRST, number,
    )  # fmt: skip
    assert isinstance(rows[0][0], int)
    return rows[0][0]


def change(what: str) -> Damage:
    """A turn of the first session is changed by hand."""
    return lambda captured: captured.sql(f"UPDATE events SET {what} WHERE id = %s", turn(captured))


def change_source(what: str, session: str = FIRST) -> Damage:
    """The stored position of a transcript is changed by hand."""
    return lambda captured: captured.sql(
        f"UPDATE source_positions SET {what} WHERE path = %s", str(captured.path(session))
    )


def delete_turn(captured: Captured) -> None:
    captured.sql("DELETE FROM events WHERE id = %s", turn(captured))


def delete_session(captured: Captured) -> None:
    captured.sql("DELETE FROM events WHERE session_uuid = %s", FIRST)
    captured.sql("DELETE FROM agents WHERE session_uuid = %s", FIRST)


OTHER_AGENT = f"agent_id = (SELECT id FROM agents WHERE session_uuid = '{SECOND}')"


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (delete_turn, {"missing": 1}),
        (delete_session, {"missing": 30}),
        (change("payload = jsonb_set(payload, '{text}', '\"gone\"')"), {"differs": 1}),
        (change("payload = jsonb_set(payload, '{actor}', '\"agent\"')"), {"differs": 1}),
        (change("payload = payload - 'turn_timestamp'"), {"differs": 1}),
        (change("payload = '7'"), {"differs": 1}),
        (change("timestamp = timestamp + interval '1 ms'"), {"differs": 1}),
        (change("event_type = 'hook_received'"), {"differs": 1}),
        (change(OTHER_AGENT), {"differs": 1}),
        (change("project_id = NULL"), {"differs": 1}),
        (change(f"session_uuid = '{SECOND}'"), {"differs": 1, "missing": 1}),
        (change("event_key = gen_random_uuid()"), {"missing": 1}),
        (change("source_offset = source_offset + 1"), {"moved": 1, "position": 1}),
        (change_source("settled_bytes = settled_bytes + 300"), {"position": 1}),
        (change_source("counts = jsonb_set(counts, '{lines}', '7')"), {"position": 1}),
        (change_source("counts = jsonb_set(counts, '{other,progress}', '7')"), {"position": 1}),
        (lambda captured: captured.sql("DELETE FROM rejections"), {"unkept": 3}),
        (
            lambda captured: captured.sql(
                "DELETE FROM events WHERE event_type = 'session_registered' AND session_uuid = %s",
                FIRST,
            ),
            {"unannounced": 1},
        ),
    ],
)
def test_damage_is_found(captured: Captured, damage: Damage, expected: dict[str, int]) -> None:
    damage(captured)
    status, report = captured.verify()
    assert (status, kinds(report)) == (1, expected)


def test_a_missing_turn_is_named(captured: Captured) -> None:
    delete_turn(captured)
    _, report = captured.verify()
    (finding,) = report["findings"]
    content = captured.path(FIRST).read_bytes().split(b"\n")
    assert finding["path"] == str(captured.path(FIRST))
    assert finding["offset"] == sum(len(line) + 1 for line in content[: finding["line"] - 1])
    assert json.loads(content[finding["line"] - 1])["uuid"] == finding["line_uuid"]
    assert finding["session"] == FIRST
    assert report["sessions"][FIRST]["missing"] == 1


def test_a_position_that_was_moved_on_hides_nothing(captured: Captured) -> None:
    """As if lines had been passed without being read."""
    size = captured.path(FIRST).stat().st_size
    captured.sql("DELETE FROM events WHERE session_uuid = %s AND source_offset > 2000", FIRST)
    change_source("settled_bytes = 2000, checksum = 1")(captured)
    status, before = captured.verify()
    assert (status, "missing" in kinds(before)) == (1, False)
    assert before["totals"]["unread"] > 20
    assert before["unread_bytes"] == size - 2000

    change_source(f"settled_bytes = {size}")(captured)
    status, after = captured.verify()
    assert status == 1
    assert after["totals"]["missing"] == before["totals"]["unread"]
    assert kinds(after)["position"] >= 1


def test_a_transcript_that_nobody_has_read(captured: Captured) -> None:
    captured.sql("DELETE FROM source_positions WHERE path = %s", str(captured.path(FIRST)))
    captured.sql(
        "DELETE FROM events WHERE session_uuid = %s AND event_type = 'turn_detected'", FIRST
    )
    status, report = captured.verify()
    assert (status, kinds(report)) == (1, {"unread": 33})


def repaired(captured: Captured, *, read_again: bool) -> dict[str, Any]:
    """Repair, let the watcher read what is to be read again, and the log is whole."""
    _, report = captured.verify(repair=True)
    if read_again:
        capture(captured.url, captured.directory, captured.environment)
    status, after = captured.verify()
    assert (status, kinds(after)) == (0, {})
    return report


def test_a_deleted_turn_is_written_again(captured: Captured) -> None:
    fields = "timestamp, payload, source_id, source_offset, project_id, agent_id, event_key"
    statement = f"SELECT {fields} FROM events WHERE session_uuid = %s AND source_offset = %s"
    (offset,) = captured.sql("SELECT source_offset FROM events WHERE id = %s", turn(captured))[0]
    before = captured.sql(statement, FIRST, offset)
    delete_turn(captured)
    report = repaired(captured, read_again=False)
    assert report["totals"]["repaired"] == 1
    assert captured.sql(statement, FIRST, offset) == before


def test_a_deleted_session_is_written_again(captured: Captured) -> None:
    columns = "SELECT p.path, a.working_directory, a.announced FROM agents a"
    statement = f"{columns} JOIN projects p ON p.id = a.project_id WHERE session_uuid = %s"
    before = captured.sql(statement, FIRST)
    delete_session(captured)
    report = repaired(captured, read_again=False)
    assert report["totals"]["repaired"] == 30
    assert captured.sql(statement, FIRST) == before
    assert len(captured.sql("SELECT 1 FROM events WHERE session_uuid = %s", FIRST)) == 31


def test_turns_that_stand_in_two_files_are_whole_after_a_repair(captured: Captured) -> None:
    """Which of the two places was the first is not known any more."""
    copy = captured.directory / "projects" / "copied.jsonl"
    copy.write_bytes(lines.joined(*conversation(FIRST, 2)) + captured.path(FIRST).read_bytes())
    try:
        capture(captured.url, captured.directory, captured.environment)
        delete_session(captured)
        assert repaired(captured, read_again=False)["totals"]["repaired"] == 32
    finally:
        copy.unlink()


@pytest.mark.parametrize(
    "damage",
    [
        change_source("settled_bytes = settled_bytes + 300"),
        change_source("counts = '{}'"),
        lambda captured: captured.sql("DELETE FROM rejections"),
    ],
)
def test_a_wrong_position_is_read_again(captured: Captured, damage: Damage) -> None:
    damage(captured)
    report = repaired(captured, read_again=True)
    assert len(report["rewound"]) == 1


def test_a_lost_announcement_is_written_again(captured: Captured) -> None:
    captured.sql("DELETE FROM events WHERE event_type = 'session_registered'")
    assert repaired(captured, read_again=False)["announced"] == 3


def test_what_differs_is_told_and_left_alone(captured: Captured) -> None:
    change("payload = jsonb_set(payload, '{text}', '\"gone\"')")(captured)
    assert captured.verify(repair=True)[0] == 1
    assert kinds(captured.verify()[1]) == {"differs": 1}


def test_positions_are_left_alone_while_a_watcher_runs(captured: Captured) -> None:
    change_source("counts = '{}'")(captured)
    with watching(captured.environment):
        _wait_for_watcher(captured)
        status, report = captured.verify(repair=True)
    assert (status, report["rewound"], len(report["notes"])) == (1, [], 1)


def _wait_for_watcher(captured: Captured) -> None:
    deadline = time.monotonic() + 30
    locks = "SELECT 1 FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
    while not captured.sql(f"{locks} WHERE locktype = 'advisory' AND datname = current_database()"):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_deleted_transcript_is_kept_in_the_log(captured: Captured) -> None:
    content = captured.path(SECOND).read_bytes()
    captured.path(SECOND).unlink()
    try:
        status, report = captured.verify()
    finally:
        captured.path(SECOND).write_bytes(content)
    assert (status, kinds(report)) == (0, {})
    assert report["sessions"][SECOND] == {
        **dict.fromkeys(report["totals"], 0),
        "kept": 23,
    }


def test_a_renamed_source_is_still_checked(captured: Captured) -> None:
    renamed = captured.path(FIRST).with_suffix(".kept")
    captured.path(FIRST).rename(renamed)
    try:
        change_source(f"path = '{renamed}'")(captured)
        assert captured.verify()[0] == 0
        delete_turn(captured)
        assert kinds(captured.verify()[1]) == {"missing": 1}
    finally:
        renamed.rename(captured.path(FIRST))


def test_one_session_alone(captured: Captured) -> None:
    delete_turn(captured)
    status, report = captured.verify(session=uuid.UUID(SECOND))
    assert (status, list(report["sessions"])) == (0, [SECOND])
    status, report = captured.verify(session=uuid.UUID(FIRST))
    assert (status, kinds(report), list(report["sessions"])) == (1, {"missing": 1}, [FIRST])


def test_sessions_left_alone_are_not_missing(captured: Captured) -> None:
    delete_session(captured)
    captured.sql("INSERT INTO registrations (session_uuid, wanted) VALUES (%s, false)", FIRST)
    status, report = captured.verify()
    assert (status, report["sessions"][FIRST]["not_registered"]) == (0, 33)


def test_a_rejected_turn_is_missing_for_a_known_reason(captured: Captured) -> None:
    captured.sql(
        "INSERT INTO rejections (source_id, source_offset, reason, detail, content)"
        " SELECT source_id, source_offset, 'refused', 'told', '' FROM events WHERE id = %s",
        turn(captured),
    )
    delete_turn(captured)
    change_source(
        "counts = jsonb_set(jsonb_set(counts, '{turns}', '29'), '{rejected,refused}', '1')"
    )(captured)
    status, report = captured.verify()
    assert (status, kinds(report)) == (1, {"rejected": 1})


@pytest.fixture
def own(database_url: str, tmp_path: Path) -> Captured:
    """A log of its own, with nothing in it yet."""
    own = Captured(database_url, tmp_path, settings(database_url, tmp_path))
    own.path(FIRST).parent.mkdir(parents=True)
    return own


def test_a_record_written_behind_one_that_was_taken_without_its_end(own: Captured) -> None:
    """Two lines for the watcher are one line in the file by now."""
    first, second, third = conversation(FIRST, 3)[:3]
    own.path(FIRST).write_bytes(lines.raw(first))
    capture(own.url, own.directory, own.environment)
    assert own.verify()[0] == 0
    with own.path(FIRST).open("ab") as file:
        file.write(lines.raw(second) + b"\n" + lines.raw(third) + b"\n")
    assert kinds(own.verify()[1]) == {"unread": 1}
    capture(own.url, own.directory, own.environment)
    status, report = own.verify()
    assert (status, report["findings"], report["totals"]["in_both"]) == (0, [], 2)


def test_a_rewritten_transcript_leaves_what_it_was_in_the_log(own: Captured) -> None:
    before, after = conversation(FIRST, 9), conversation(FIRST, 4)
    own.path(FIRST).write_bytes(lines.joined(*before))
    capture(own.url, own.directory, own.environment)
    # One line stays and stands elsewhere now.
    own.path(FIRST).write_bytes(lines.joined(*after, before[0]))
    assert own.verify()[0] == 1
    capture(own.url, own.directory, own.environment)
    status, report = own.verify()
    assert (status, kinds(report)) == (0, {"moved": 1})
    tally = report["sessions"][FIRST]
    assert (tally["in_both"], tally["kept"] + tally["kept_elsewhere"]) == (5, 8)


def test_redacted_turns_are_whole(own: Captured) -> None:
    own.environment["CLAUDE_HEADSPACE__PRIVACY__REDACT"] = "true"
    secret = "ghp_" + "a1" * 20
    own.path(FIRST).write_bytes(
        lines.joined(lines.user(FIRST, f"use {secret}"), lines.user(FIRST, "no secret", at=1))
    )
    capture(own.url, own.directory, own.environment)
    assert own.sql("SELECT 1 FROM events WHERE payload::text LIKE %s", f"%{secret}%") == []
    assert own.verify()[0] == 0
    own.sql("DELETE FROM events")
    own.verify(repair=True)
    assert own.sql("SELECT 1 FROM events WHERE payload::text LIKE %s", f"%{secret}%") == []
    assert own.verify()[0] == 0
    own.sql(
        "UPDATE events SET payload = jsonb_set(payload, '{text}', '\"gone\"')"
        " WHERE annotations ? 'redacted'"
    )
    assert kinds(own.verify()[1]) == {"differs": 1}


def test_a_running_watcher_is_no_reason_for_alarm(own: Captured) -> None:
    """What is written while a check goes on is read, unread or newer, and never missing."""
    stopped = threading.Event()

    def speak() -> None:
        number = 0
        while not stopped.wait(0.002):
            number += 1
            with own.path(FIRST).open("ab") as file:
                file.write(lines.joined(lines.user(FIRST, f"text {number}", at=number)))

    speaking = threading.Thread(target=speak)
    with watching(own.environment):
        _wait_for_watcher(own)
        speaking.start()
        try:
            for _ in range(10):
                assert kinds(own.verify()[1]).keys() <= {"unread"}
        finally:
            stopped.set()
            speaking.join()
        status, report = own.verify()
    assert (status, kinds(report)) == (0, {})
    assert report["totals"]["in_both"] > 10


def test_the_command_line(captured: Captured) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "claude_headspace.cli", *arguments],
            env=captured.environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert not done.stderr.startswith("Traceback")
        return done.returncode, done.stdout

    assert run("verify", "--session", FIRST[:-1] + "1")[0] == 0
    delete_turn(captured)
    status, told = run("verify", "--json")
    assert (status, json.loads(told)["counts"]) == (1, {"missing": 1})
    status, told = run("rejected", "retry", "--all")
    assert (status, told.count("still rejected")) == (1, 3)
    assert run("rejected", "retry")[0] == 64


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_progress_bar_comes_on_a_terminal_and_goes() -> None:
    for stream, shown in ((Terminal(), True), (io.StringIO(), False)):
        progress = Progress(stream, 200, silent_seconds=0)
        progress.advance(50)
        progress.close()
        assert ("25% of" in stream.getvalue()) == shown
        assert stream.getvalue().endswith("\x1b[K") == shown


def test_redacted_text_does_not_differ() -> None:
    assert is_redacted_form("key sk-1 and sk-2.", "key [redacted:key] and [redacted:key].")
    assert is_redacted_form("sk-1", "[redacted:key]")
    assert not is_redacted_form("key sk-1 or sk-2.", "key [redacted:key] and [redacted:key].")
    assert not is_redacted_form("ab", "ab[redacted:key]b")
    assert not is_redacted_form("abc", "abd")


def test_the_text_names_what_is_wrong(captured: Captured) -> None:
    delete_turn(captured)
    output = io.StringIO()
    config = load_config(captured.environment)
    assert run_verify(config, VerifyOptions(), output=output, terminal=io.StringIO()) == 1
    told = output.getvalue()
    assert f"missing: {captured.path(FIRST)}, line " in told
    assert told.endswith("not whole: 1 missing\n")
    assert FIRST in told
    assert FORK not in told


@pytest.mark.parametrize("block", [1, 3, 7, 1000])
def test_the_reader_splits_lines_whatever_its_blocks(tmp_path: Path, block: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one\n\n\xe2\x80\xa8two\r\n123456789\nlast")
    reader = LineReader(str(path), 8, block_bytes=block)
    found = [(line.number, line.start, line.data, line.ended) for line in reader.lines()]
    reader.close()
    assert found == [
        (1, 0, b"one", True),
        (2, 4, b"", True),
        (3, 5, b"\xe2\x80\xa8two\r", True),
        (4, 13, None, True),
        (5, 23, b"last", False),
    ]


def test_the_line_around_a_byte(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one\ntwo two\n123456789\nlast")
    around = {offset: line_around(str(path), offset, 8) for offset in (0, 2, 4, 7, 12, 20, 22, 40)}
    assert around == {
        0: (0, b"one"),
        2: (0, b"one"),
        4: (4, b"two two"),
        7: (4, b"two two"),
        12: None,
        20: None,
        22: (22, b"last"),
        40: None,
    }
