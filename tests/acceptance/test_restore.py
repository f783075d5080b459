from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import lines
from archived import assert_archived, files_below
from harness import Log, Projects, Watcher, wait_until

SESSION = "6f1d0a7e-0d3a-4c6b-9a0c-0123456789ab"


def command(watcher: Watcher, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One command of the command line, under the watcher's settings."""
    return subprocess.run(
        [sys.executable, "-m", "claude_headspace.cli", *arguments],
        env=watcher.environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def history(projects: Projects) -> Path:
    """A session with all kinds of files, and another one."""
    projects.fill(sessions=1, turns=3)
    path = projects.say(SESSION, "Hello", "there")
    projects.append(path, b'{"no newline')
    below = path.with_suffix("")
    for name, data in {"subagents/agent-a.jsonl": b"", "tool-results/1.txt": b"x" * 9}.items():
        (below / name).parent.mkdir(parents=True, exist_ok=True)
        (below / name).write_bytes(data)
    old = path.with_name("agent-00ff00ff.jsonl")
    projects.append(old, lines.joined(lines.assistant(SESSION, "of old", isSidechain=True)))
    return path


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
    assert (unknown.returncode, "holds no file of session" in unknown.stderr) == (1, True)


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
