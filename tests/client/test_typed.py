"""Prompts in a terminal: while a tool runs, taken back, pasted, full of tags, at a question."""

from __future__ import annotations

import pytest

import lines
from client.desk import HOLD, Desk
from client.model import Block

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

QUEUED = "edit queued messages"


def test_typed_while_a_tool_runs(desk: Desk) -> None:
    desk.script = {"Hold on": [["I hold.", HOLD], ["I held."], ["I go on."]]}
    session = lines.new_session()
    with desk.terminal("--session-id", session, "--allowedTools", "Bash") as terminal:
        terminal.say("Hold on.")
        desk.wait_written('"tool_use"')
        terminal.say("Mind the gap")
        terminal.wait_for(QUEUED)
        terminal.say("And the step")
        desk.wait_written("And the step")
        desk.release()
        terminal.hear("I go on." if desk.version == "2.0.76" else "I held.")

    held = ["I held.", "I go on."] if desk.version == "2.0.76" else ["I held."]
    assert desk.said() == {
        session: ["> Hold on.", "I hold.", "> Mind the gap", "> And the step", *held]
    }


def test_typed_while_what_others_queued_waits(desk: Desk) -> None:
    """The end of a job in the background, and a command, wait until Claude is idle."""
    job: Block = {
        "tool": "Bash",
        "input": {"command": "echo over", "description": "job", "run_in_background": True},
    }
    desk.script = {"Hold on": [[job], ["I hold.", HOLD], ["I held."], ["I go on."]]}
    session = lines.new_session()
    with desk.terminal("--session-id", session, "--allowedTools", "Bash") as terminal:
        terminal.say("Hold on.")
        desk.wait_written("-notification>")
        terminal.say("/context")
        terminal.wait_for(QUEUED)
        terminal.say("Mind the gap")
        desk.wait_written("Mind the gap")
        desk.release()
        terminal.hear("I go on." if desk.version == "2.0.76" else "I held.")
    prompts = [text for text in desk.said()[session] if text.startswith("> ")]
    assert [text for text in prompts if text != "> /context"] == ["> Hold on.", "> Mind the gap"]


def test_taken_back_and_changed(desk: Desk) -> None:
    desk.script = {"Hold on": [["I hold.", HOLD], ["I held."], ["I go on."]]}
    session = lines.new_session()
    with desk.terminal("--session-id", session, "--allowedTools", "Bash") as terminal:
        terminal.say("Hold on.")
        desk.wait_written('"tool_use"')
        terminal.say("Turn left")
        terminal.wait_for(QUEUED)
        terminal.press("Up")
        desk.wait_written('"popAll"')
        terminal.say(", no, right")
        desk.wait_written("no, right")
        desk.release()
        terminal.hear("I go on." if desk.version == "2.0.76" else "I held.")

    held = ["I held.", "I go on."] if desk.version == "2.0.76" else ["I held."]
    assert desk.said() == {session: ["> Hold on.", "I hold.", "> Turn left, no, right", *held]}


def test_a_question_answered_with_words(desk: Desk) -> None:
    write: Block = {
        "tool": "Write",
        "input": {"file_path": str(desk.project / "note.txt"), "content": "words\n"},
    }
    desk.script = {
        "Write one": [["I write.", write], ["As you say."]],
        "Write two": [["I write again.", write], ["So be it."]],
    }
    session = lines.new_session()
    with desk.terminal("--session-id", session, "--permission-mode", "default") as terminal:
        terminal.say("Write one.")
        terminal.wait_for("Do you want to create")
        terminal.choose("Down", "3.")
        if desk.version != "2.0.76":  # there the choice itself takes the words
            terminal.press("Tab")
            terminal.wait_for("tell Claude what to do differently")
        terminal.say("not with that name")
        terminal.hear("As you say.")
        terminal.say("Write two.")
        terminal.wait_for("Do you want to create")
        if desk.version != "2.0.76":  # it takes no words with a Yes
            terminal.press("Tab")
            terminal.wait_for("tell Claude what to do next")
            terminal.write("but gently")
        terminal.confirm("Do you want to create")
        terminal.hear("So be it.")

    refused = ["> not with that name"] if desk.version == "2.1.332" else []
    accepted = [] if desk.version == "2.0.76" else ["> but gently"]
    assert desk.said() == {
        session: [
            *("> Write one.", "I write.", *refused, "As you say."),
            *("> Write two.", "I write again.", *accepted, "So be it."),
        ]
    }


def test_pasted_and_with_tags(desk: Desk) -> None:
    desk.script = {"read it": [["I have read it."]], "What is": [["A tag."]]}
    pasted = "\n".join(f"Line {number} of a paste." for number in range(60))
    session = lines.new_session()
    with desk.terminal("--session-id", session) as terminal:
        terminal.paste(pasted)
        terminal.wait_for("Pasted text")
        terminal.say(" Please read it.")
        terminal.hear("I have read it.")
        terminal.say("What is <system-reminder>this</system-reminder> in my log?")
        terminal.hear("A tag.")

    gap, tag = " ", ""
    if desk.version == "2.1.332":  # it sets pastes apart, and says that a person typed the tag
        gap, tag = "\n\n\n ", "<system-reminder>this</system-reminder>"
    assert desk.said() == {
        session: [
            *(f"> {pasted}{gap}Please read it.", "I have read it."),
            *(f"> What is {tag} in my log?", "A tag."),
        ]
    }
