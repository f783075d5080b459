"""A scratch home and project for a client, a watcher beside them, and what the log holds."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from client import boxed, installed, model, terminal
from client.installed import Client
from client.model import Block, Script
from harness import Log, Projects, Watcher, unread, wait_until

TESTS = Path(__file__).resolve().parent.parent
RUN_SECONDS = 90.0
OUTSIDE = Path("/", "tmp", "claude")
GO = "go"
HOLD_COMMAND = f"while [ ! -e {GO} ]; do sleep 0.1; done"
HOLD: Block = {"tool": "Bash", "input": {"command": HOLD_COMMAND, "description": "hold"}}
"""A tool that runs until `Desk.release`."""


class Desk:
    """Where one scenario happens: one version of the client, one log."""

    def __init__(self, root: Path, url: str, client: Client) -> None:
        self.root, self.client = root, client
        self.home, self.project = root / "home", root / "project"
        self.transcripts = self.home / ".claude" / "projects"
        self.transcripts.mkdir(parents=True)
        self.project.mkdir()
        self.script: Script = {}
        self.watcher = Watcher(root, url, self.transcripts)
        self.log = Log(url)
        self._started = 0
        self._answer_first_questions()

    def _answer_first_questions(self) -> None:
        """Theme, key and trust, which the client asks a newcomer."""
        key = {"approved": [boxed.KEY[-20:]], "rejected": []}
        projects = {str(self.project): {"hasTrustDialogAccepted": True}}
        state = {"hasCompletedOnboarding": True, "customApiKeyResponses": key, "projects": projects}
        (self.home / ".claude.json").write_text(json.dumps(state))

    @property
    def version(self) -> str:
        """The version of the client."""
        return self.client.version

    def command(self, *arguments: str) -> list[str]:
        """What starts the client, its arguments with it, apart from any network."""
        self._started += 1
        box = boxed.Box(
            [*self.client.command, *arguments], str(self.home), str(self.project), self.script
        )
        start = box.save(self.root / f"box{self._started}.json")
        known = [f"PATH={os.environ['PATH']}", f"PYTHONPATH={TESTS}"]
        return ["env", "-i", *known, *installed.in_namespace(*start)]

    @contextmanager
    def process(
        self, *arguments: str, stdin: int = subprocess.DEVNULL
    ) -> Iterator[subprocess.Popen[str]]:
        """`claude -p`; gone at the end."""
        with subprocess.Popen(
            self.command("-p", *arguments),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as started:
            try:
                yield started
            finally:
                started.kill()

    def ask(self, *arguments: str) -> str:
        """Run `claude -p` to its end; returns what it printed."""
        with self.process(*arguments) as started:
            return started.communicate(timeout=RUN_SECONDS)[0]

    @contextmanager
    def terminal(self, *arguments: str) -> Iterator[terminal.Terminal]:
        """An interactive client, ready for a prompt."""
        with terminal.running(self.command(*arguments), self.wait_written) as window:
            yield window

    def release(self) -> None:
        """Let the tool that holds end."""
        (self.project / GO).touch()

    def wait_written(self, words: str) -> None:
        """Until a transcript holds these words."""
        wait_until(lambda: self._is_written(words.encode()), f"{words!r} in a transcript")

    def _is_written(self, words: bytes) -> bool:
        return any(words in path.read_bytes() for path in self.transcripts.rglob("*.jsonl"))

    def tidy(self) -> None:
        """Remove what 2.0.76 leaves outside of its home."""
        folder = "".join(c if c.isalnum() else "-" for c in str(self.project))
        shutil.rmtree(OUTSIDE / folder, ignore_errors=True)
        with suppress(OSError):  # missing, or another's too
            OUTSIDE.rmdir()

    def said(self) -> dict[str, list[str]]:
        """What the log holds of all that is written, by session; a person's words after "> "."""
        projects = Projects(self.transcripts)
        wait_until(lambda: unread(projects, self.log) == 0, "every byte is committed")
        sessions: dict[str, list[str]] = {}
        for turn in self.log.turns():
            if turn.text != model.WARM:  # how many subagents a terminal warms up is its own affair
                mark = "> " if turn.actor == "user" else ""
                sessions.setdefault(turn.session, []).append(mark + turn.text)
        return sessions


def kill_client(outermost: int) -> None:
    """SIGKILL to the client itself, the innermost of namespace, box and client."""
    box = _child(outermost)
    os.kill(_child(box), signal.SIGKILL)


def _child(process: int) -> int:
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return int(children[0])
