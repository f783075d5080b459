"""What a terminal does with a prompt that is a command, and where it leads the session."""

from __future__ import annotations

import pytest

import lines
from client.desk import Desk

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


def test_commands_of_the_client_and_of_ones_own(desk: Desk) -> None:
    desk.script = {
        "How are you": [["I am well."]],
        "Bid welcome to": [["Welcome, all."]],
        "echoed by the shell": [["I see."]],
    }
    commands = desk.project / ".claude" / "commands"
    commands.mkdir(parents=True)
    (commands / "greet.md").write_text("---\ndescription: polite\n---\nBid welcome to $ARGUMENTS\n")
    session = lines.new_session()
    with desk.terminal("--session-id", session) as terminal:
        terminal.say("How are you?")
        terminal.hear("I am well.")
        terminal.say("/rename a good name")
        terminal.hear("renamed to: a good name")
        terminal.say("/context")
        desk.wait_written("<command-name>/context")
        terminal.say("/greet you all")
        terminal.hear("Welcome, all.")
        terminal.press("!")
        terminal.wait_for("! for ")
        terminal.say("echo echoed by the shell")
        desk.wait_written("<bash-stdout>echoed by the shell")
        if desk.version == "2.1.332":
            terminal.hear("I see.")

    assert desk.said() == {
        session: [
            *("> How are you?", "I am well.", "> /rename a good name"),
            *("> /context", "> /greet you all", "Welcome, all.", "> ! echo echoed by the shell"),
            *(["I see."] if desk.version == "2.1.332" else []),
        ]
    }
    titles = "SELECT titles::text FROM agents WHERE session_uuid = %s"
    assert "a good name" in desk.log.value(titles, (session,))


def test_compacted_and_cleared(desk: Desk) -> None:
    desk.script = {
        "Say one": [["It is one."]],
        "Say two": [["It is two."]],
        "Say three": [["It is three."]],
    }
    session = lines.new_session()
    with desk.terminal("--session-id", session) as terminal:
        terminal.say("Say one.")
        terminal.hear("It is one.")
        terminal.say("/compact keep it short")
        terminal.hear("Compacted")
        terminal.say("Say two.")
        terminal.hear("It is two.")
        terminal.say("/clear")
        desk.wait_written("<command-name>/clear")
        terminal.say("Say three.")
        terminal.hear("It is three.")

    said = desk.said()
    assert list(said.values()) == [
        ["> Say one.", "It is one.", "> /compact keep it short", "> Say two.", "It is two."],
        ["> /clear", "> Say three.", "It is three."],
    ]
    assert next(iter(said)) == session


def test_rewound_and_branched(desk: Desk) -> None:
    desk.script = {
        "Say one": [["It is one."]],
        "Say two": [["It is two."]],
        "Say three": [["It is three."]],
        "Say four": [["It is four."]],
    }
    session = lines.new_session()
    with desk.terminal("--session-id", session) as terminal:
        terminal.say("Say one.")
        terminal.hear("It is one.")
        terminal.say("Say two.")
        terminal.hear("It is two.")
        terminal.say("/rewind")
        terminal.wait_for("(current)")
        terminal.choose("Up", "Say two.")
        terminal.confirm("(current)")
        terminal.wait_for("The code will be unchanged")
        terminal.choose("Down", "Restore conversation")
        terminal.confirm("Restore conversation")
        terminal.wait_prompt("Say two.")
        terminal.press("C-k" if desk.version == "2.0.76" else "C-u")  # where it puts the cursor
        terminal.wait_prompt("Say two.", gone=True)
        terminal.say("Say three.")
        terminal.hear("It is three.")
        if desk.version != "2.0.76":
            terminal.say("/branch")
            terminal.wait_for("Branched")
            terminal.say("Say four.")
            terminal.hear("It is four.")

    one, two, three = (
        ["> Say one.", "It is one."],
        ["> Say two.", "It is two."],
        ["> Say three.", "It is three."],
    )
    said = list(desk.said().values())
    assert said[0] == [*one, *two, *three]
    rewound = two if desk.version == "2.1.90" else []  # copied into the branch by it
    branch = [*one, *rewound, *three, "> /branch", "> Say four.", "It is four."]
    assert said[1:] == ([] if desk.version == "2.0.76" else [branch])
