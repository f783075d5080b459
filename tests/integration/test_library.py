"""What docs/library.md shows runs as it is there."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from claude_headspace import Event, EventWriter
from claude_headspace.inbox.messages import list_messages, read_message
from harness import Log

PAGE = Path(__file__).parents[2] / "docs" / "library.md"
ASK = "from health_page import app; r = app.test_client().get('/'); print(r.status_code, r.text)"


def example(begins: str, folder: Path, name: str) -> Path:
    """The program of the document whose docstring begins like this, in a file."""
    programs = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    (program,) = [text for text in programs if text.startswith(f'"""{begins}')]
    path = folder / name
    path.write_text(program, "utf-8")
    return path


@pytest.fixture
def environment(tmp_path: Path, database_url: str) -> dict[str, str]:
    """That of a program beside an installation that has this database."""
    config = tmp_path / "config.yaml"
    config.write_text("state: {directory: state}\n")
    own = {"CLAUDE_HEADSPACE_CONFIG": str(config), "DATABASE_URL": database_url}
    return os.environ | own


def run(environment: dict[str, str], folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-W", "error", *arguments]
    return subprocess.run(
        command, env=environment, cwd=folder, text=True, check=True, stdout=subprocess.PIPE
    ).stdout


@contextmanager
def running(environment: dict[str, str], program: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, program],
        env=environment,
        cwd=program.parent,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def say(url: str, session: uuid.UUID, actor: str) -> None:
    now = datetime.now(UTC)
    payload = {
        "session_uuid": str(session),
        "actor": actor,
        "text": "hello",
        "source": "polling",
        "turn_timestamp": now.isoformat(),
    }
    with closing(EventWriter.at(url)) as writer:
        assert writer.write(Event("turn_detected", now, payload, uuid.uuid4(), session)).event_id


def test_the_state_machine_knows_whose_turn_it_is(
    tmp_path: Path, environment: dict[str, str], database_url: str
) -> None:
    program = example("Keeps the state", tmp_path, "states.py")
    session = uuid.uuid4()
    say(database_url, session, "user")
    with running(environment, program) as process:
        assert line_of(process) == f"{session} working"
        say(database_url, session, "agent")
        assert line_of(process) == f"{session} waiting"
    say(database_url, session, "user")
    with running(environment, program) as process:
        assert line_of(process) == f"{session} working", "it goes on behind what it has handled"
        say(database_url, session, "agent")
        assert line_of(process) == f"{session} waiting"


def test_a_transition_is_left_in_the_inbox(tmp_path: Path, environment: dict[str, str]) -> None:
    program = example("Emits one state", tmp_path, "emit.py")
    identity = run(environment, tmp_path, str(program), "7", "8", "idle", "working").strip()
    (path,) = list_messages(tmp_path / "state" / "inbox")
    message = read_message(path)
    assert (message.id, message.type) == (identity, "state_transition")
    assert message.payload["command_id"] == 8


def test_an_event_is_written_with_an_answer(
    tmp_path: Path, environment: dict[str, str], log: Log
) -> None:
    program = example("Writes one event", tmp_path, "write.py")
    outcome, event_id = run(environment, tmp_path, str(program)).split()
    assert outcome == "written"
    assert log.rows("SELECT id FROM events") == [(int(event_id),)]


def test_the_page_shows_health(tmp_path: Path, environment: dict[str, str]) -> None:
    example("A page that shows", tmp_path, "health_page.py")
    status, answer = run(environment, tmp_path, "-c", ASK).split(maxsplit=1)
    shown = json.loads(answer)
    assert (status, shown["status"], shown["watcher"]) == ("503", "down", False)
    assert any("supervisord is not running" in reason for reason in shown["reasons"])
