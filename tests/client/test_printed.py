"""`claude -p`: asked once, resumed, forked, refused by the API, with helpers, killed."""

from __future__ import annotations

import json

import pytest

import lines
from client import installed
from client.desk import HOLD, Desk, kill_client
from client.model import Block

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


def test_asked_resumed_and_forked(desk: Desk) -> None:
    desk.script = {
        "How are you": [["I am well."]],
        "And now": [["Still well.", "Really."]],
        "Quarantine": [["Let us talk aside: ümläut 🎉."]],
    }
    session = lines.new_session()
    desk.ask("How are you?", "--session-id", session)
    desk.ask("And now?", "--resume", session)
    printed = desk.ask(
        "Quarantine.", "--resume", session, "--fork-session", "--output-format", "json"
    )

    before = ["> How are you?", "I am well.", "> And now?", "Still well.", "Really."]
    copied = before
    if desk.version == "2.0.76":  # it copies prompts under the id of the original
        copied = [words for words in before if not words.startswith(">")]
    assert desk.said() == {
        session: before,
        json.loads(printed)["session_id"]: [
            *copied,
            "> Quarantine.",
            "Let us talk aside: ümläut 🎉.",
        ],
    }


def test_resumed_by_every_other_version(desk: Desk) -> None:
    session = lines.new_session()
    said: list[str] = []
    others = [version for version in installed.VERSIONS if version != desk.version]
    for number, version in enumerate((desk.version, *others)):
        desk.client = installed.client(version)
        desk.script = {f"Question {number}": [[f"Answer {number} of {version}."]]}
        desk.ask(f"Question {number}?", "--resume" if number else "--session-id", session)
        said += [f"> Question {number}?", f"Answer {number} of {version}."]

    assert desk.said() == {session: said}


def test_refused_by_the_api(desk: Desk) -> None:
    desk.script = {"Too long": [[{"error": 400}]]}
    session = lines.new_session()
    desk.ask("Too long?", "--session-id", session)

    assert desk.said() == {session: ["> Too long?"]}


def test_a_subagent_speaks_in_the_session_of_its_parent(desk: Desk) -> None:
    tool = "Task" if desk.version == "2.0.76" else "Agent"
    order = {"description": "look", "prompt": "Look inside", "subagent_type": "general-purpose"}
    helper: Block = {"tool": tool, "input": {**order, "run_in_background": False}}
    desk.script = {
        "Send a helper": [["I send one.", helper], ["It is back."]],
        "Look inside": [["I have looked."]],
    }
    session = lines.new_session()
    desk.ask("Send a helper.", "--session-id", session)

    said = desk.said()
    assert list(said) == [session]
    assert sorted(said[session]) == [
        "> Send a helper.",
        "I have looked.",
        "I send one.",
        "It is back.",
    ]


def test_killed_while_a_tool_runs_and_resumed(desk: Desk) -> None:
    desk.script = {"Hold on": [["I hold.", HOLD]], "Are you there": [["I am back."]]}
    session = lines.new_session()
    with desk.process("Hold on.", "--session-id", session, "--allowedTools", "Bash") as started:
        desk.wait_written('"tool_use"')
        kill_client(started.pid)
        started.wait(10)
    desk.ask("Are you there?", "--resume", session)

    assert desk.said() == {session: ["> Hold on.", "I hold.", "> Are you there?", "I am back."]}
