"""A job behind: its end is told to the model, and nobody said it."""

from __future__ import annotations

import pytest

import lines
from client.desk import HOLD_COMMAND, Desk
from client.model import Block

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


def test_the_end_of_a_job(desk: Desk) -> None:
    order = {"command": HOLD_COMMAND, "description": "job", "run_in_background": True}
    job: Block = {"tool": "Bash", "input": order}
    desk.script = {"Start a job": [["I start it.", job], ["It runs."], ["It has ended."]]}
    session = lines.new_session()
    with desk.terminal("--session-id", session, "--allowedTools", "Bash") as terminal:
        terminal.say("Start a job.")
        terminal.hear("It runs.")
        desk.release()
        terminal.hear("It has ended.")

    assert desk.said() == {session: ["> Start a job.", "I start it.", "It runs.", "It has ended."]}
