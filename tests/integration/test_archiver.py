"""What the archive still has to do, however many files were captured at once."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

import lines
from archived import SESSION, archived_bytes, assert_contiguous, missing_bytes
from claude_headspace.archive import archiver as module
from claude_headspace.archive import next_piece
from claude_headspace.archive.archiver import Archiver, Deferred
from claude_headspace.archive.pieces import PIECE_BYTES
from claude_headspace.archive.restore import NothingArchived, Restore
from claude_headspace.events.redaction import make_redactor
from claude_headspace.machine import id_of_name
from claude_headspace.read.connection import Reader
from claude_headspace.read.selection import SessionNamed, find_session
from claude_headspace.store.checkpoints import Checkpoints
from claude_headspace.store.connection import Database
from claude_headspace.transcripts.checkpoint import Checkpoint
from claude_headspace.transcripts.source_file import SourceFile, unreported
from harness import Log, Projects

MACHINE = id_of_name("here")


def nothing() -> None:
    """Nobody listens."""


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = Database(lambda: database_url, application_name="test")
    yield made
    made.close()


@pytest.fixture
def archiver(database: Database, monkeypatch: pytest.MonkeyPatch) -> Archiver:
    monkeypatch.setattr(module, "DELAY_SECONDS", 0.0)
    return Archiver(
        database=database, machine=MACHINE, enabled=True, redactor=None, wanted=lambda _: True,
        is_capturing=lambda: False, is_called=lambda: False, renumbered=nothing,
        doing=unreported, beat=nothing, most=5,
    )  # fmt: skip


def capture(checkpoints: Checkpoints, path: Path) -> int:
    """Note all of a file as captured; the id of its source."""
    stored = checkpoints.create(str(path))
    file = SourceFile(str(path))
    chunk = file.read(Checkpoint(), 1 << 20)
    file.close()
    return checkpoints.commit(replace(stored, checkpoint=chunk.checkpoint)).id


def steps_of(archiver: Archiver) -> int:
    """Have it do everything that is due by now; in how many steps."""
    steps = 0
    while (archiver.due or 0.0) <= time.monotonic():
        archiver.step()
        steps += 1
    return steps


def large_file(projects: Projects) -> Path:
    path = projects.path(SESSION)
    projects.append(path, random.Random(1).randbytes(7 * PIECE_BYTES // 2) + b"\n")
    return path


def test_one_step_archives_all_of_a_file_unless_something_else_calls(
    archiver: Archiver, database: Database, projects: Projects, log: Log,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(module, "SLICE_SECONDS", 60.0)
    path = large_file(projects)
    source = capture(Checkpoints(database, MACHINE), path)
    steps_of(archiver)  # the first round, over nothing
    for is_called, steps in ((True, 4), (False, 1)):
        log.rows("TRUNCATE archive_pieces, archive_generations")
        archiver.is_called = lambda: is_called  # noqa: B023
        archiver.note(source, str(path))
        for _ in range(steps):
            assert missing_bytes(log, projects.root) != {}
            archiver.step()
        assert archived_bytes(log, str(path)) == path.read_bytes()
        assert_contiguous(log)


def test_while_lines_wait_only_late_files_are_archived_and_seldom(
    archiver: Archiver, database: Database, projects: Projects, log: Log,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    path = large_file(projects)
    archiver.note(capture(Checkpoints(database, MACHINE), path), str(path))
    archiver.step_if_late()
    assert log.value("SELECT count(*) FROM archive_pieces") == 0
    monkeypatch.setattr(module, "LATE_SECONDS", 0.0)
    archiver.step_if_late()
    archiver.step_if_late()
    assert log.value("SELECT count(*) FROM archive_pieces") == 1


def test_what_finds_no_room_is_found_by_the_round(
    archiver: Archiver, database: Database, projects: Projects, log: Log
) -> None:
    checkpoints = Checkpoints(database, MACHINE)
    steps_of(archiver)  # the first round, over nothing
    steps = []
    for number in (20, 40):
        projects.fill(sessions=number, turns=1)
        for path in sorted(projects.root.rglob("*.jsonl")):
            archiver.note(capture(checkpoints, path), str(path))
        steps.append(steps_of(archiver))
        assert missing_bytes(log, projects.root) == {}
    assert steps[1] < 3 * steps[0]


def test_the_first_is_the_earliest_and_no_more_is_held_than_there_is_room_for() -> None:
    due: Deferred[int, str] = Deferred(0.0, most=3)
    assert [due.add(number, "x") for number in (1, 2, 3, 4, 1)] == [True, True, True, False, True]
    now = time.monotonic()
    first = due.take(now)
    assert first is not None
    due.put_first(*first)
    assert [due.take(now), *(due.take(now) for _ in range(3))][:1] == [first]
    assert due.first == float("inf")


def test_of_a_file_that_is_rewritten_all_the_time_the_last_versions_are_kept(
    archiver: Archiver, database: Database, projects: Projects, log: Log,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(next_piece, "KEPT_VERSIONS", 3)
    path = projects.path(SESSION).with_suffix("") / "agent.meta.json"
    path.parent.mkdir(parents=True)
    for number in range(6):
        path.write_text(str(number))
        os.utime(path, (number, number))
        archiver._look_into(str(path.parent), UUID(SESSION))
        steps_of(archiver)
    generations = "SELECT generation FROM archive_generations ORDER BY 1"
    assert log.rows(generations) == [(4,), (5,), (6,)]
    assert_contiguous(log)
    assert archived_bytes(log, str(path)) == b"5"


def sidecar_of(path: Path, content: bytes) -> Path:
    """A tool's output in the folder of a session's transcript."""
    made = path.with_suffix("") / "tool-results" / "1.txt"
    made.parent.mkdir(parents=True)
    made.write_bytes(content)
    return made


@pytest.mark.parametrize("name", [SESSION.upper(), f"{SESSION}/subagents/w/agent-1"])
def test_sidecars_are_found_beside_any_transcript_of_a_session(
    archiver: Archiver, database: Database, projects: Projects, log: Log, tmp_path: Path, name: str
) -> None:
    """In whatever letters its id is written, and where only a subagent's transcript is."""
    path = projects.path(name)
    projects.append(path, lines.joined(lines.user(SESSION, "a")))
    sidecar = sidecar_of(projects.path(name.partition("/")[0]), b"output")
    archiver.note(capture(Checkpoints(database, MACHINE), path), str(path))
    steps_of(archiver)
    assert archived_bytes(log, str(sidecar)) == b"output"
    restore = Restore(database, ["/elsewhere"], str(tmp_path / "to"), missing_only=False)
    assert {each.fate for each in restore.run(UUID(SESSION))} == {"restored"}
    for each in (path, sidecar):
        there = tmp_path / "to" / each.relative_to(projects.root)
        assert there.read_bytes() == each.read_bytes()


def test_a_file_that_moves_before_it_is_archived_is_archived_where_it_is(
    archiver: Archiver, database: Database, projects: Projects, log: Log
) -> None:
    checkpoints = Checkpoints(database, MACHINE)
    path = projects.say(SESSION, "a")
    source = capture(checkpoints, path)
    archiver.note(source, str(path))
    moved = path.rename(path.with_name(f"{lines.new_session()}.jsonl"))
    archiver.note(checkpoints.rename(checkpoints.create(str(path)), str(moved)).id, str(moved))
    steps_of(archiver)
    assert archived_bytes(log, str(moved)) == moved.read_bytes()


def test_redacted_a_sidecar_is_archived_to_its_end_without_its_secrets(
    archiver: Archiver, projects: Projects, log: Log
) -> None:
    archiver._next_piece.redactor = make_redactor([])
    key = "-----BEGIN PRIVATE KEY-----\n" + "Ab3d" * 16 + "\n-----END PRIVATE KEY-----"
    sidecar = sidecar_of(projects.path(SESSION), f"$ cat key\n{key}\nno newline".encode())
    archiver._look_into(str(sidecar.parent), UUID(SESSION))
    steps_of(archiver)
    archived = archived_bytes(log, str(sidecar))
    assert len(archived) == sidecar.stat().st_size
    assert archived.startswith(b"$ cat key\n*****")
    assert archived.endswith(b"*****\nno newline")


def test_what_was_never_archived_is_told_when_the_rest_is_restored(
    archiver: Archiver, database: Database, projects: Projects, log: Log
) -> None:
    checkpoints = Checkpoints(database, MACHINE)
    path = projects.say(SESSION, "a")
    archiver.note(capture(checkpoints, path), str(path))
    steps_of(archiver)
    archived = path.read_bytes()
    projects.say(SESSION, "b")
    log.rows("UPDATE checkpoints SET committed_offset = %s", (path.stat().st_size,))
    path.unlink()
    restore = Restore(database, [str(projects.root)], None, missing_only=False)
    (restored,) = restore.run(UUID(SESSION))
    assert (restored.fate, restored.partial, path.read_bytes()) == ("restored", True, archived)
    path.unlink()
    path.symlink_to(path.with_name("nothing"))
    assert [each.fate for each in restore.run(UUID(SESSION))] == ["differs"]


def test_a_session_whose_lines_are_in_the_file_of_another_is_told_which(
    archiver: Archiver, database: Database, projects: Projects
) -> None:
    path, original = projects.path(SESSION), lines.new_session()
    projects.append(path, lines.joined(lines.user(original, "a"), lines.user(SESSION, "b")))
    source = Checkpoints(database, MACHINE).create(str(path))
    capture(Checkpoints(database, MACHINE), path)
    database.execute(
        "UPDATE checkpoints SET sessions = %s::uuid[] WHERE id = %s",
        ([original, SESSION], source.id),
    )
    restore = Restore(database, [str(projects.root)], None, missing_only=False)
    with pytest.raises(NothingArchived) as refused:
        next(restore.run(UUID(original)))
    assert f"{path} (session {SESSION})" in str(refused.value)


def test_a_session_that_no_line_names_is_found_and_restored_by_the_name_of_its_file(
    archiver: Archiver, database: Database, projects: Projects, tmp_path: Path
) -> None:
    path = projects.path(SESSION)
    projects.append(path, lines.joined({"type": "summary", "summary": "Words"}))
    archiver.note(capture(Checkpoints(database, MACHINE), path), str(path))
    steps_of(archiver)
    named = find_session(Reader(database), SESSION[:8])
    assert named == SessionNamed(SESSION, None)
    restore = Restore(database, [str(projects.root)], str(tmp_path / "to"), missing_only=False)
    assert [each.fate for each in restore.run(UUID(named.uuid))] == ["restored"]
    there = tmp_path / "to" / path.relative_to(projects.root)
    assert there.read_bytes() == path.read_bytes()
