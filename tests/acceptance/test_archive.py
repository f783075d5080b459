from __future__ import annotations

import os
import random
import re
import time
from pathlib import Path

import pytest
from alembic import command as alembic_command

import lines
from archived import (
    SESSION,
    archived_bytes,
    assert_archived,
    assert_contiguous,
    command,
    history,
    missing_bytes,
)
from claude_headspace.store import migrations
from claude_headspace.store.engine import make_engine
from faults.machine import machine
from harness import Log, Projects, Watcher, wait_until


def sidecar(projects: Projects, name: str, data: bytes) -> Path:
    path = projects.path(SESSION).with_suffix("") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_every_byte_is_archived_also_of_other_files(
    projects: Projects, watcher: Watcher, log: Log
) -> None:
    projects.fill(sessions=4, turns=20)
    path = projects.say(SESSION, "Hello", "there")
    projects.append(path, b'{"cut off')
    sidecar(projects, "tool-results/b1.txt", b"\x00\xff" * 700_000)
    sidecar(projects, "subagents/agent-a.meta.json", b"{}")
    sidecar(projects, "subagents/empty", b"")
    with watcher.running():
        assert_archived(log, projects.root)
        projects.say(SESSION, "again")
        sidecar(projects, "tool-results/b1.txt", b"other")
        assert_archived(log, projects.root)
    tool = str(projects.path(SESSION).with_suffix("") / "tool-results/b1.txt")
    assert archived_bytes(log, tool, 1) == b"\x00\xff" * 700_000


def test_a_rewritten_file_begins_a_new_generation_and_the_old_one_stays(
    projects: Projects, watcher: Watcher, log: Log
) -> None:
    path = projects.say(SESSION, "one", "two")
    first = path.read_bytes()
    with watcher.running():
        assert_archived(log, projects.root)
        second = lines.joined(lines.user(SESSION, "instead"))
        path.write_bytes(second)
        wait_until(lambda: "instead" in log.texts(SESSION), "the new line")
        assert_archived(log, projects.root)
        third = path.with_suffix(".new")
        third.write_bytes(first * 2)
        third.replace(path)
        assert_archived(log, projects.root)
        path.write_bytes(b"")
        wait_until(lambda: log.value("SELECT max(generation) FROM checkpoints") == 4, "empty")
        assert_archived(log, projects.root)
    kept = [archived_bytes(log, str(path), generation) for generation in (1, 2, 3, 4)]
    assert kept == [first, second, first * 2, b""]


def test_a_line_that_was_cut_off_and_written_anew_begins_a_generation(
    projects: Projects, watcher: Watcher, log: Log
) -> None:
    path = projects.say(SESSION, "one")
    whole = path.read_bytes()
    projects.append(path, b'{"half a li')
    with watcher.running():
        assert_archived(log, projects.root)
        os.truncate(path, len(whole))
        projects.say(SESSION, "two", at=9)
        assert_archived(log, projects.root)
        wait_until(lambda: log.texts(SESSION) == ["one", "two"], "the turns")
    assert archived_bytes(log, str(path), 1) == whole + b'{"half a li'


def test_what_is_deleted_before_its_turn_is_archived_to_its_end(
    projects: Projects, watcher: Watcher, log: Log
) -> None:
    watcher.settings["FILE_WATCHER__FINAL_LINE_WAIT_SECONDS"] = 60
    path = projects.say(SESSION, "one")
    with watcher.running():
        wait_until(lambda: log.texts(SESSION) == ["one"], "the turn")
        for number in range(2000):
            projects.append(path, lines.joined(lines.user(SESSION, "x" * 900, at=number + 1)))
        projects.append(path, b"an end that is no line")
        data = path.read_bytes()
        path.unlink()
        wait_until(lambda: log.value("SELECT count(gone_at) FROM archive_generations"), "gone")
    assert archived_bytes(log, str(path)) == data
    assert_contiguous(log)


def test_killed_again_and_again_nothing_is_missing_and_nothing_twice(
    projects: Projects, watcher: Watcher, log: Log
) -> None:
    projects.fill(sessions=1, turns=700)
    line = random.Random(1).randbytes(1_500_000).replace(b"\n", b"")
    projects.append(projects.path(SESSION), line)
    stored = "SELECT coalesce(sum(archived), 0) FROM archive_generations"
    while left := missing_bytes(log, projects.root):
        before = log.value(stored)
        watcher.start()
        wait_until(lambda: len(left) == 0 or log.value(stored) > before, "a piece")  # noqa: B023
        watcher.kill()
        assert_contiguous(log)
    assert_archived(log, projects.root)


def test_crashes_of_postgres_take_back_pieces_and_cursors_together(
    projects: Projects, tmp_path: Path
) -> None:
    projects.fill(sessions=2, turns=700)
    line = random.Random(1).randbytes(1_500_000).replace(b"\n", b"")
    projects.append(projects.path(SESSION), line)
    with machine() as it, it.database() as url:
        log = Log(url)
        made = Watcher(tmp_path, url, projects.root)
        with made.running():
            for least in (0, 400_000, 900_000):
                stored = "SELECT coalesce(sum(archived), 0) FROM archive_generations"
                wait_until(lambda: log.value(stored) > least, "some pieces")  # noqa: B023
                projects.say(SESSION, "more", at=least)
                it.crash()
                it.start()
            assert_archived(log, projects.root)


def test_a_log_of_the_version_before_is_filled_up(
    projects: Projects, watcher: Watcher, log: Log
) -> None:
    history(projects)
    with watcher.running():
        assert_archived(log, projects.root)
    engine = make_engine(log.url)
    with engine.begin() as opened:
        settings = migrations.alembic_config(opened)
        alembic_command.downgrade(settings, "0005")
        alembic_command.downgrade(settings, "-1")
    engine.dispose()
    migrations.upgrade(log.url)
    assert log.value("SELECT count(*) FROM archive_pieces") == 0
    with watcher.running():
        assert_archived(log, projects.root)


def test_what_was_captured_before_there_was_an_archive_is_filled_up(
    projects: Projects, watcher: Watcher, log: Log
) -> None:
    projects.fill(sessions=5, turns=3)
    watcher.settings["ARCHIVE__ENABLED"] = False
    with watcher.running():
        wait_until(lambda: len(log.turns()) == len(projects.turns()), "the turns")
    assert log.value("SELECT count(*) FROM archive_generations") == 0
    told = command(watcher, "status").stdout
    assert re.search(r"not archived yet: .* in 10 files of 5 sessions on disk", told)
    watcher.settings["ARCHIVE__ENABLED"] = True
    with watcher.running():
        assert_archived(log, projects.root)


@pytest.mark.long
def test_capture_that_never_rests_leaves_time_for_the_archive(
    projects: Projects, watcher: Watcher, log: Log
) -> None:
    path = projects.say(SESSION, "one")
    with watcher.running():
        wait_until(lambda: log.texts(SESSION), "the first turn")
        deadline = time.monotonic() + 40
        while time.monotonic() < deadline and not log.value(
            "SELECT coalesce(max(archived), 0) FROM archive_generations"
        ):
            projects.say(SESSION, *("x" * 500 for _ in range(50)))
        assert archived_bytes(log, str(path))
