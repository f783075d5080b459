from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import lines
from archived import SESSION, assert_archived, command, files_below, history
from harness import Log, Projects, Watcher, wait_until


def test_a_session_is_restored_where_it_stood_and_goes_on(
    projects: Projects, watcher: Watcher, log: Log
) -> None:
    path = history(projects)
    with watcher.running():
        assert_archived(log, projects.root)
        before, turns = files_below(projects.root), len(log.turns())
        for each in (path, path.with_name("agent-00ff00ff.jsonl")):
            each.unlink()
        shutil.rmtree(path.with_suffix(""))
        wait_until(lambda: log.value("SELECT count(gone_at) FROM archive_generations") >= 2, "gone")
        began = time.time()
        told = command(watcher, "status").stdout
        assert "\narchive:  " in told
        assert "1 session only in the archive: see `restore`" in told
        assert "transcripts after 30 days; the oldest was written 2" in told
        done = command(watcher, "restore", SESSION)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.count("restored: ") == 4
        assert files_below(projects.root) == before
        assert path.stat().st_mtime >= began - 1
        assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o077) != (0o644, 0)
        os.truncate(path, len(before[str(path)]) - len(b'{"no newline'))
        projects.say(SESSION, "and on")
        wait_until(lambda: log.texts(SESSION)[-1] == "and on", "the next turn")
        assert len(log.turns()) == turns + 1
        assert_archived(log, projects.root)


def test_never_over_a_file_that_differs(
    projects: Projects, watcher: Watcher, log: Log, tmp_path: Path
) -> None:
    path = history(projects)
    with watcher.running():
        assert_archived(log, projects.root)
    whole = path.read_bytes()
    path.write_bytes(b"mine")
    done = command(watcher, "restore", SESSION)
    assert done.returncode == 1
    assert f"differs: {path}\n" in done.stdout
    assert done.stdout.count("there already: ") == 3
    assert path.read_bytes() == b"mine"
    assert command(watcher, "restore", SESSION, "--missing").returncode == 0
    elsewhere = tmp_path / "elsewhere"
    assert command(watcher, "restore", SESSION, "--to", str(elsewhere)).returncode == 0
    assert (elsewhere / path.relative_to(projects.root)).read_bytes() == whole
    path.write_bytes(whole + b"more")
    assert command(watcher, "restore", SESSION).returncode == 0
    unknown = command(watcher, "restore", lines.new_session())
    assert (unknown.returncode, "has no file of session" in unknown.stderr) == (1, True)


def test_damage_is_told_and_nothing_is_written(
    projects: Projects, watcher: Watcher, log: Log, tmp_path: Path
) -> None:
    path = history(projects)
    with watcher.running():
        assert_archived(log, projects.root)
    log.rows("UPDATE archive_pieces SET content = set_byte(content, 9, get_byte(content, 9) # 1)")
    done = command(watcher, "restore", SESSION, "--to", str(tmp_path / "there"))
    assert done.returncode == 1
    assert "the archive of source" in done.stderr
    assert not files_below(tmp_path / "there")
    assert path.exists()


def test_claude_is_run_where_the_session_was_with_its_files_back(
    projects: Projects, watcher: Watcher, log: Log, tmp_path: Path
) -> None:
    there, programs = tmp_path / "a project", tmp_path / "bin"
    there.mkdir()
    programs.mkdir()
    path = projects.say(SESSION, "Hello", "there", cwd=str(there))
    whole = path.read_bytes()
    claude = programs / "claude"
    claude.write_text(f'#!/bin/sh\npwd\necho "$@"\ncat "{path}"\nexit 7\n')
    claude.chmod(0o755)
    with watcher.running():
        assert_archived(log, projects.root)
    shutil.rmtree(projects.root)
    projects.root.mkdir()
    asked = [sys.executable, "-m", "claude_headspace.cli", "resume", "--exec", SESSION[:8]]
    environ = {**watcher.environment(), "PATH": f"{programs}:{os.environ['PATH']}"}
    for told in (f"restored: {path}\n", ""):
        done = subprocess.run(asked, env=environ, capture_output=True, check=False, timeout=60)
        ran = f"{told}{there}\n--resume {SESSION}\n".encode() + whole
        assert (done.returncode, done.stderr, done.stdout) == (7, b"", ran)
    there.rmdir()
    refused = subprocess.run(asked, env=environ, capture_output=True, check=False, timeout=60)
    assert refused.returncode == 1
    assert b"a project does not exist" in refused.stderr
