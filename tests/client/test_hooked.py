"""The entries of `hooks install` as the client runs them, with a prompt that a shell would obey."""

from __future__ import annotations

import subprocess
import sys

import pytest

import lines
from client.desk import Desk
from client.model import Block
from harness import wait_until

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

TRAP = "trapped"
OBEYED_BY_A_SHELL = f"Write `touch {TRAP}` and $(touch {TRAP}); touch {TRAP}"


def install_hooks(desk: Desk) -> None:
    command = [sys.executable, "-m", "claude_headspace.cli", "hooks", "install", "--yes"]
    environment = {**desk.watcher.environment(), "HOME": str(desk.home)}
    subprocess.run(
        [*command, "--claude-version", desk.version], env=environment, check=True, timeout=60
    )


def seen(desk: Desk, session: str, kind: str) -> bool:
    """Whether the log has a hook's event of a session."""
    found = desk.log.value(
        "SELECT count(*) FROM events WHERE event_type = 'hook_received'"
        " AND session_uuid = %s AND payload->>'hook_type' = %s",
        (session, kind),
    )
    return bool(found)


def test_hooks_tell_what_happens_and_execute_nothing(desk: Desk) -> None:
    target = {"file_path": str(desk.project / "note.txt"), "content": "words\n"}
    write: Block = {"tool": "Write", "input": target}
    desk.script = {OBEYED_BY_A_SHELL: [["I write.", write], ["Written."]]}
    install_hooks(desk)
    session = lines.new_session()

    def wait_seen(kind: str) -> None:
        wait_until(lambda: seen(desk, session, kind), f"a {kind} in the log")

    with desk.terminal("--session-id", session, "--permission-mode", "default") as terminal:
        wait_seen("SessionStart")
        terminal.say(OBEYED_BY_A_SHELL)
        terminal.wait_for("Do you want to create")
        wait_seen("UserPromptSubmit")
        wait_seen("Notification")
        terminal.confirm("Do you want to create")
        terminal.hear("Written.")
        wait_seen("Stop")
        terminal.write("/exit")
        terminal.press("Enter")
        wait_seen("SessionEnd")

    said = desk.said()[session]
    assert said[:3] == [f"> {OBEYED_BY_A_SHELL}", "I write.", "Written."]
    assert said[3:] in ([], ["> /exit"])  # which some versions write down, if there is time
    assert not list(desk.root.rglob(TRAP))
