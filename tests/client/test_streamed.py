"""Prompts from a program: one line of JSON each, two of them while a tool runs."""

from __future__ import annotations

import fcntl
import json
import subprocess
import termios
from typing import IO, Any

import pytest

import lines
from client.desk import HOLD, RUN_SECONDS, Desk
from harness import wait_until

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

STREAM = ("--input-format", "stream-json", "--output-format", "stream-json", "--verbose")
NO_BYTES = bytes(4)


def send(client: subprocess.Popen[str], content: Any) -> None:
    assert client.stdin is not None
    message = {"role": "user", "content": content}
    client.stdin.write(json.dumps({"type": "user", "message": message}) + "\n")
    client.stdin.flush()
    wait_until(lambda: is_empty(client.stdin), f"{content!r} is read")


def is_empty(pipe: IO[str] | None) -> bool:
    """Whether the other end of a pipe has read all that was written to it."""
    assert pipe is not None
    return fcntl.ioctl(pipe, termios.FIONREAD, NO_BYTES) == NO_BYTES


def test_prompts_that_come_while_a_tool_runs(desk: Desk) -> None:
    desk.script = {"Hold on": [["I hold.", HOLD], ["I held."], ["I go on."]]}
    session = lines.new_session()
    arguments = (*STREAM, "--session-id", session, "--allowedTools", "Bash")
    with desk.process(*arguments, stdin=subprocess.PIPE) as client:
        send(client, "Hold on.")
        desk.wait_written('"tool_use"')
        send(client, "One as a string")
        send(client, [lines.text("One as blocks")])
        desk.release()
        client.communicate(timeout=RUN_SECONDS)

    after = {
        "2.1.332": ["> One as a string", "> One as blocks", "I held."],
        "2.1.90": ["> One as a string", "I held."],  # writes no words of blocks
        "2.0.76": ["I held.", "I go on."],  # writes no words at all, and answers once more
    }
    assert desk.said() == {session: ["> Hold on.", "I hold.", *after[desk.version]]}
