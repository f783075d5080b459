"""`verify` proves that the log is whole, and finds what was damaged by hand."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import pytest

import lines
from captured import capture, query, settings, watching
from claude_headspace.capture.retry import line_around
from claude_headspace.config import load_config
from claude_headspace.transcripts.source_file import SourceFile
from claude_headspace.verify.check import is_redacted_form
from claude_headspace.verify.output import conclusions, figures, print_json
from claude_headspace.verify.run import run_verify
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
    unstorable = lines.user(SECOND, "zero \x00 and half \ud83d", at=91, uuid="odd \x00\ud83d")
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
        config = load_config(self.environment)
        report = run_verify(config, terminal=io.StringIO(), **options)
        print_json(report, output)
        return int(report.wrong > 0), json.loads(output.getvalue())

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
    assert report["totals"]["in_log"] == 30 + 20 + 3 + 4 + 4
    assert report["totals"]["repeated"] == 3
    assert report["rejected_lines"] == 3
    assert report["sessions"][FORK]["in_log"] == 8
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
    """The stored checkpoint of a transcript is changed by hand."""
    return lambda captured: captured.sql(
        f"UPDATE checkpoints SET {what} WHERE path = %s", str(captured.path(session))
    )


def delete_turn(captured: Captured) -> None:
    captured.sql("DELETE FROM events WHERE id = %s", turn(captured))


def insert_turn(payload: str) -> Damage:
    """One more event is put in by hand, where a turn of the first session is."""
    columns = "event_type, timestamp, session_uuid, project_id, agent_id, source_id, source_offset"
    return lambda captured: captured.sql(
        f"INSERT INTO events (event_key, payload, {columns})"
        f" SELECT gen_random_uuid(), {payload}, {columns} FROM events WHERE id = %s",
        turn(captured),
    )


def register_late(captured: Captured) -> None:
    """The session's registration is written after its turns."""
    captured.sql(
        "UPDATE events SET id = (SELECT max(id) + 1 FROM events)"
        " WHERE event_type = 'session_registered' AND session_uuid = %s", FIRST,
    )  # fmt: skip


def change_end(what: str) -> Damage:
    """The first session has ended, and that is changed by hand."""

    def damage(captured: Captured) -> None:
        captured.sql("DELETE FROM events WHERE event_type = 'session_ended'")
        captured.sql(
            "UPDATE agents SET end_reason = 'timeout', ended_at = last_seen_at + interval '1 hour'"
        )
        captured.sql(
            "INSERT INTO events (event_type, timestamp, session_uuid, event_key, payload)"
            " SELECT 'session_ended', ended_at, session_uuid, gen_random_uuid(), '{}' FROM agents"
        )
        captured.sql("UPDATE events SET recorded_at = now() - interval '1 hour'")
        assert captured.verify()[0] == 0
        captured.sql(what, FIRST)

    return damage


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
        (change("event_key = gen_random_uuid()"), {"missing": 1, "invented": 1}),
        (change("source_offset = source_offset + 1"), {"misplaced": 1}),
        (change("retracted_at = now()"), {"differs": 1}),
        (change_source("committed_offset = committed_offset + 300"), {"checkpoint": 1}),
        (lambda captured: captured.sql("DELETE FROM dead_letters"), {"dead_letter": 3}),
        (
            lambda captured: captured.sql(
                "DELETE FROM events WHERE event_type = 'session_registered' AND session_uuid = %s",
                FIRST,
            ),
            {"registration": 1},
        ),
        (register_late, {"registration": 1}),
        (change("id = -id"), {"order": 1, "registration": 1}),
        (change("id = (SELECT max(id) + 1 FROM events)"), {"order": 1}),
        (insert_turn('payload || \'{"text": "never said"}\''), {"invented": 1}),
        (insert_turn("payload"), {"doubled": 1}),
        (change_source("committed_offset = 10000000"), {"checkpoint": 1}),
        (
            change_end(
                "DELETE FROM events WHERE event_type = 'session_ended' AND session_uuid = %s"
            ),
            {"ending": 1},
        ),
        (
            change_end(
                "UPDATE agents SET ended_at = started_at + interval '1 s' WHERE session_uuid = %s"
            ),
            {"ending": 1},
        ),
    ],
)
def test_damage_is_found(captured: Captured, damage: Damage, expected: dict[str, int]) -> None:
    damage(captured)
    status, report = captured.verify()
    assert (status, kinds(report)) == (1, expected)


def test_a_position_behind_the_end_of_the_file(captured: Captured) -> None:
    change_source("committed_offset = 10000000")(captured)
    (finding,) = captured.verify()[1]["findings"]
    assert finding["why"].startswith("10000000 bytes are committed, but the file has ")


def test_a_silent_session_has_to_end_where_a_watcher_runs(captured: Captured) -> None:
    change_end("UPDATE agents SET ended_at = NULL WHERE session_uuid = %s")(captured)
    assert captured.verify()[0] == 0
    with holding_the_watchers_lock(captured.url):
        status, report = captured.verify()
    assert (status, kinds(report)) == (1, {"ending": 1})


@contextmanager
def holding_the_watchers_lock(url: str) -> Iterator[None]:
    connection = psycopg2.connect(url)
    try:
        connection.cursor().execute(
            "SELECT pg_advisory_lock(hashtext('claude_headspace.watcher'), hashtext(id::text))"
            " FROM machines"
        )
        yield
    finally:
        connection.close()


def test_a_lost_end_is_written_again(captured: Captured) -> None:
    change_end("DELETE FROM events WHERE event_type = 'session_ended' AND session_uuid <> %s")(
        captured
    )
    assert repaired(captured, read_again=False)["of_sessions"] == 2


def test_places_that_cannot_be_read(own: Captured) -> None:
    projects = own.directory / "projects"
    (projects / "gone").symlink_to(own.directory / "nowhere")
    status, report = own.verify()
    assert (status, kinds(report)) == (1, {"unreadable": 1})
    assert report["findings"][0]["path"] == str(projects / "gone")
    own.environment["CLAUDE_HEADSPACE__CLAUDE__PROJECTS_PATH"] = str(projects / "missing")
    assert kinds(own.verify()[1]) == {"unreadable": 1}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_and_a_file_without_permission(own: Captured) -> None:
    own.path(FIRST).write_bytes(lines.joined(*conversation(FIRST, 3)))
    capture(own.url, own.directory, own.environment)
    other = own.directory / "projects" / "other"
    other.mkdir()
    for path in (other, own.path(FIRST)):
        path.chmod(0)
    try:
        status, report = own.verify()
    finally:
        for path in (other, own.path(FIRST)):
            path.chmod(0o755)
    assert (status, kinds(report)) == (1, {"unreadable": 2})


def test_folders_without_permission(tmp_path: Path) -> None:
    """Asked by a process that permissions hold for, whoever it belongs to."""
    (tmp_path / "closed").mkdir(0)
    ask = "from claude_headspace.discovery.listing import unreadable; import sys;"
    command = [sys.executable, "-c", f"{ask} print(unreadable(sys.argv[1:]))", str(tmp_path)]
    if os.geteuid() == 0:
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == f"{{'{tmp_path / 'closed'}': 'Permission denied'}}\n"


def test_what_is_to_be_read_again_by_the_rules_of_today_is_no_fault(captured: Captured) -> None:
    change_source("rules = rules - 1")(captured)
    delete_turn(captured)
    insert_turn('payload || \'{"text": "told by older rules"}\'')(captured)
    status, report = captured.verify()
    assert (status, kinds(report)) == (0, {"older_rules": 1})
    assert "1 turns" in report["findings"][0]["why"]
    captured.verify(repair=True, yes=True)
    assert captured.verify()[1]["totals"]["in_log"] == report["totals"]["in_log"]


def test_nothing_is_written_without_a_yes(captured: Captured) -> None:
    """What is missing may have been deleted on purpose."""
    delete_session(captured)
    config = load_config(captured.environment)
    for answer, is_terminal, written in (("y", False, 0), ("no", True, 0), ("yes", True, 31)):
        terminal = io.StringIO()
        answers = Terminal(answer) if is_terminal else io.StringIO(answer)
        report = run_verify(config, repair=True, terminal=terminal, answers=answers)
        assert (report.wrong > 0) is not bool(written)
        assert "- add turns that are not in the log: 30, of sessions: 1\n" in terminal.getvalue()
        assert any("nothing was written" in note for note in report.notes) == (not written)
        found = captured.sql("SELECT 1 FROM events WHERE session_uuid = %s", FIRST)
        assert len(found) == written


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
    change_source("committed_offset = 2000, checksum = 1")(captured)
    status, before = captured.verify()
    assert (status, "missing" in kinds(before)) == (1, False)
    assert before["totals"]["unread"] > 20
    assert before["unread_bytes"] == size - 2000

    change_source(f"committed_offset = {size}")(captured)
    status, after = captured.verify()
    assert status == 1
    assert after["totals"]["missing"] == before["totals"]["unread"]
    assert kinds(after)["checkpoint"] >= 1


def test_a_transcript_that_nobody_has_read(captured: Captured) -> None:
    captured.sql("DELETE FROM checkpoints WHERE path = %s", str(captured.path(FIRST)))
    captured.sql(
        "DELETE FROM events WHERE session_uuid = %s AND event_type = 'turn_detected'", FIRST
    )
    status, report = captured.verify()
    assert (status, kinds(report)) == (1, {"unread": 33})


def repaired(captured: Captured, *, read_again: bool) -> dict[str, Any]:
    """Repair, let the watcher read what is to be read again, and the log is whole."""
    _, report = captured.verify(repair=True, yes=True)
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
        change_source("committed_offset = committed_offset + 300"),
        change_source("checksum = checksum + 1"),
        lambda captured: captured.sql("DELETE FROM dead_letters"),
    ],
)
def test_a_wrong_position_is_read_again(captured: Captured, damage: Damage) -> None:
    damage(captured)
    report = repaired(captured, read_again=True)
    assert len(report["rewound"]) == 1


def test_a_lost_announcement_is_written_again(captured: Captured) -> None:
    captured.sql("DELETE FROM events WHERE event_type = 'session_registered'")
    assert repaired(captured, read_again=False)["of_sessions"] == 3


def test_what_differs_is_told_and_left_alone(captured: Captured) -> None:
    change("payload = jsonb_set(payload, '{text}', '\"gone\"')")(captured)
    assert captured.verify(repair=True, yes=True)[0] == 1
    assert kinds(captured.verify()[1]) == {"differs": 1}


def test_positions_are_left_alone_while_a_watcher_runs(captured: Captured) -> None:
    change_source("checksum = checksum + 1")(captured)
    with watching(captured.environment):
        _wait_for_watcher(captured)
        status, report = captured.verify(repair=True, yes=True)
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
        "file_gone": 23,
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
    assert (status, report["sessions"][FIRST]["not_captured"]) == (0, 33)


def test_a_rejected_turn_is_missing_for_a_known_reason(captured: Captured) -> None:
    captured.sql(
        "INSERT INTO dead_letters (source_id, source_offset, reason, detail, content)"
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
    half = len(lines.raw(second)) // 2
    with own.path(FIRST).open("ab") as file:
        file.write(lines.raw(second)[:half])
    status, report = own.verify()
    assert (status, report["findings"], report["unfinished_bytes"]) == (0, [], half)
    with own.path(FIRST).open("ab") as file:
        file.write(lines.raw(second)[half:] + b"\n" + lines.raw(third) + b"\n")
    assert kinds(own.verify()[1]) == {"unread": 1}
    capture(own.url, own.directory, own.environment)
    status, report = own.verify()
    assert (status, report["findings"], report["totals"]["in_log"]) == (0, [], 2)


def test_prompts_without_a_line_of_their_own(own: Captured) -> None:
    """One is told by the reply; one waits at the end, until a line tells of it after all."""
    records = [
        lines.user(FIRST, "first"),
        lines.queue(FIRST, "enqueue", at=1, content="while you work"),
        lines.queue(FIRST, "remove", at=2),
        lines.assistant(FIRST, "done", at=3),
        lines.queue(FIRST, "enqueue", at=4, content="and this"),
        lines.queue(FIRST, "remove", at=5),
    ]
    own.path(FIRST).write_bytes(lines.joined(*records))
    capture(own.url, own.directory, own.environment)
    status, report = own.verify()
    assert (status, report["findings"]) == (0, [])
    assert report["totals"]["in_log"] + report["totals"]["unread"] == 4
    with own.path(FIRST).open("ab") as file:
        file.write(lines.joined(lines.attachment(FIRST, "and this", at=6)))
    capture(own.url, own.directory, own.environment)
    status, report = own.verify()
    assert (status, report["findings"], report["totals"]["in_log"]) == (0, [], 4)
    own.sql("DELETE FROM events WHERE payload ->> 'text' = 'while you work'")
    assert kinds(own.verify()[1]) == {"missing": 1}
    assert repaired(own, read_again=False)["totals"]["repaired"] == 1


def test_a_rewritten_transcript_leaves_what_it_was_in_the_log(own: Captured) -> None:
    before, after = conversation(FIRST, 9), conversation(FIRST, 4)
    own.path(FIRST).write_bytes(lines.joined(*before))
    capture(own.url, own.directory, own.environment)
    # One line stays and is elsewhere now.
    own.path(FIRST).write_bytes(lines.joined(*after, before[0]))
    assert own.verify()[0] == 1
    capture(own.url, own.directory, own.environment)
    status, report = own.verify()
    assert (status, kinds(report)) == (0, {})
    tally = report["sessions"][FIRST]
    assert (tally["in_log"], tally["file_gone"] + tally["file_replaced"]) == (5, 8)


def test_a_last_line_that_was_taken_out_leaves_its_turn_in_the_log(own: Captured) -> None:
    """Claude Code takes out an answer that it gave up, and goes on with lines of other kinds."""
    said = conversation(FIRST, 4)[:5]
    own.path(FIRST).write_bytes(lines.joined(*said))
    capture(own.url, own.directory, own.environment)
    progress = [lines.progress(FIRST, at=9)] * 3
    own.path(FIRST).write_bytes(lines.joined(*said[:-1], *progress, lines.user(FIRST, "so?")))
    capture(own.url, own.directory, own.environment)
    status, report = own.verify()
    assert (status, kinds(report)) == (0, {})
    assert report["sessions"][FIRST]["file_replaced"] == 1


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
    own.verify(repair=True, yes=True)
    assert own.sql("SELECT 1 FROM events WHERE payload::text LIKE %s", f"%{secret}%") == []
    status, report = own.verify()
    assert (status, report["findings"]) == (0, [])
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
    assert report["totals"]["in_log"] > 10


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


def test_redacted_text_does_not_differ() -> None:
    assert is_redacted_form("key sk-1 and sk-2.", "key [redacted:key] and [redacted:key].")
    assert is_redacted_form("sk-1", "[redacted:key]")
    assert not is_redacted_form("key sk-1 or sk-2.", "key [redacted:key] and [redacted:key].")
    assert not is_redacted_form("ab", "ab[redacted:key]b")
    assert not is_redacted_form("abc", "abd")


def test_the_text_names_what_is_wrong(captured: Captured) -> None:
    delete_turn(captured)
    report = run_verify(load_config(captured.environment), terminal=io.StringIO())
    told = conclusions(report)
    assert any(line.startswith(f"missing: {captured.path(FIRST)}, line ") for line in told)
    assert told[-1] == "incomplete: 1 missing"
    assert [row[-1] for row in figures(report)] == ["session", FIRST, "all sessions"]
    every = [row[-1] for row in figures(report, everything=True)]
    assert {FIRST, SECOND, FORK} < set(every)


def test_the_line_around_a_byte(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one\ntwo two\n123456789\nlast")
    file = SourceFile(str(path))
    around = {offset: line_around(file, offset, 8) for offset in (0, 2, 4, 7, 12, 20, 22, 40)}
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
