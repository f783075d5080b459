"""Every command in the blocks of README and docs is run, on a machine with a few sessions."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from supervised import free_port

import lines
from commanded import LINT, WIDE, Commands
from documented import documented_commands
from harness import wait_until
from servers import remove_state, temporary_state

ROOT = Path(__file__).resolve().parents[2]
# What is not run here begins so, and why.
ELSEWHERE = {
    "deploy/run": "installs from a package index",
    "deploy/test": "runs this test",
    "deploy/benchmark": "takes half an hour",
    "DATABASE_URL=postgresql://headspace@db.example": "needs another machine",
    "claude-headspace migrate --database": "needs another machine",
    "claude-headspace grants --database": "needs another machine",
    "claude-headspace restore-backup": "needs an empty database: tests/acceptance/test_backup.py",
    "claude-headspace service": "changes what starts at login: tests/unit/test_service.py",
    "claude-headspace watcher": "runs until it is stopped, and one runs already",
    "claude-headspace hook ": "names the inbox of somebody's home",
    "claude-headspace rejected dismiss": "names rejected lines of another log",
    "claude-headspace rejected retry": "names rejected lines of another log",
}
# These delete something, restart or stop everything: they are run last, in this order.
LAST = ("claude-headspace rebuild", "claude-headspace forget", "supervisorctl reload",
        "claude-headspace restart", "deploy/stop", "claude-headspace down",
        "claude-headspace up")  # fmt: skip
ENDLESS = re.compile(r"--follow|tail -f")
# What a shell does, and what becomes another program; the rest is run in this process.
APART = re.compile(
    r"[|>$&\\~]|^(?!claude-headspace)|--exec|headspace (psql|open|up|down|supervisorctl)"
)
# Warnings, files that wait, no hooks, and programs that are not needed and have ended.
STATUSES = {
    "claude-headspace doctor": {0, 1},
    "claude-headspace status": {0, 1},
    "claude-headspace hooks status": {1},
    "supervisorctl status": {3},
}


def place(command: str) -> int:
    """Its place among those that are run last; 0 for all others."""
    return next((n for n, begin in enumerate(LAST, 1) if command.startswith(begin)), 0)


TRIED = [each for each in documented_commands() if not each.startswith(tuple(ELSEWHERE))]
TRIED.sort(key=place)
pytestmark = pytest.mark.timeout(300)


@dataclass(frozen=True)
class Machine:
    """A clone that runs, in the home of a user with three sessions."""

    root: Path
    environ: dict[str, str]

    def start(self, command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["bash", "-c", command],
            cwd=self.root,
            env={**os.environ, **self.environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def problems(self, commands: Iterable[str]) -> Iterator[str]:
        """What does not end as it should."""
        for command in commands:
            typed = command.replace("5055", self.environ["CLAUDE_HEADSPACE__WEB__PORT"])
            if ENDLESS.search(command):
                status, said = self.interrupt(typed)
                good = bool(said) and status in (0, 130, -signal.SIGINT)
            else:
                run = self.run if APART.search(command) else self.run_here
                status, said = run(typed)
                good = status in STATUSES.get(command, {0})
            if not good:
                yield f"{command}: {status}: {said}"

    def run(self, command: str) -> tuple[int, str]:
        with self.start(command) as process:
            said, _ = process.communicate(timeout=120)
            return process.returncode, said

    def interrupt(self, command: str) -> tuple[int, str]:
        """Wait for its first line, then do what Ctrl-C does."""
        with self.start(f"exec {command}") as process:
            line = process.stdout.readline()  # type: ignore[union-attr]
            process.send_signal(signal.SIGINT)
            return process.wait(60), line

    def run_here(self, command: str) -> tuple[int, str]:
        ended = Commands("", self.root, self.environ).run(*shlex.split(command)[1:])
        return ended.status, ended.out + ended.err


def write_sessions(home: Path) -> None:
    """Two sessions of one project, and one of another, all from a minute ago."""
    at = (datetime.now(UTC) - lines.START).total_seconds() - 60
    for session, cwd, said in (
        (LINT, home / "my-project", "Please fix the lint errors in the parser: exit code 1"),
        (WIDE, home / "my-project", "What does the cache do?"),
        (lines.new_session(), home / "work/secret", "Keep this to yourself"),
    ):
        cwd.mkdir(parents=True, exist_ok=True)
        given = {"command": "exit code"}
        call = {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": given}
        transcript = home / ".claude/projects" / str(cwd).replace("/", "-") / f"{session}.jsonl"
        transcript.parent.mkdir(parents=True, exist_ok=True)
        transcript.write_bytes(
            lines.joined(
                lines.user(session, said, at=at, cwd=str(cwd)),
                lines.assistant(session, [call], at=at + 1, cwd=str(cwd)),
                lines.assistant(session, "Done.", at=at + 2, cwd=str(cwd)),
            )
        )


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with temporary_state() as state:
        root = state.parent
        for name in ("config.yaml", "supervisord.conf"):
            shutil.copy(ROOT / name, root)
        shutil.copytree(ROOT / "deploy", root / "deploy")
        (root / ".venv").symlink_to(sys.prefix)
        others = root / "programs"
        others.mkdir()
        for name in ("claude", "my-reader"):
            (others / name).write_text("#!/bin/sh\n")
            (others / name).chmod(0o755)
        made = Machine(root, {
            "PATH": f"{root}/.venv/bin:{others}:{os.environ['PATH']}",
            "HOME": str(root / "home"), "BROWSER": "true", "TZ": "UTC",
            "CLAUDE_HEADSPACE_CONFIG": str(root / "config.yaml"),
            "CLAUDE_HEADSPACE__WEB__PORT": str(free_port()),
        })  # fmt: skip
        write_sessions(root / "home")
        (root / "home/.config/fish/completions").mkdir(parents=True)  # as fish makes it
        try:
            status, said = made.run("claude-headspace up --detach")
            assert status == 0, said
            wait_until(lambda: "3 sessions" in made.run_here("claude-headspace sessions")[1], "all")
            found = "claude-headspace search lint errors"
            wait_until(lambda: made.run_here(found)[0] == 0, "the search index")
            yield made
        finally:
            made.run("claude-headspace down")
            if state.exists():
                remove_state(state)


@pytest.mark.parametrize("begin", ELSEWHERE)
def test_what_is_not_run_is_in_the_documents(begin: str) -> None:
    assert any(command.startswith(begin) for command in documented_commands())


@pytest.mark.long
def test_every_command_that_needs_a_shell_or_another_program_runs(machine: Machine) -> None:
    assert not "\n".join(machine.problems(filter(APART.search, TRIED)))


def test_every_other_command_runs(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(machine.root)
    tried = [command for command in TRIED if not APART.search(command)]
    problems = "\n".join(machine.problems(tried))
    assert not problems, problems
