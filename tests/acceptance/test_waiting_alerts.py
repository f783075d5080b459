"""The web application runs the user's command when a session begins to need the person."""

from __future__ import annotations

from pathlib import Path

from supervised import free_port

from browser.recorded import Talk
from harness import HOST, Log, Projects, Watcher, wait_until
from website import website

QUESTION = {"questions": [{"question": "Which colour?", "options": []}]}
SCRIPT = 'echo "$HEADSPACE_ALERT|$HEADSPACE_REASON|$HEADSPACE_SESSION" >> "$0"'


def test_each_beginning_is_told_once(
    tmp_path: Path, projects: Projects, watcher: Watcher, log: Log
) -> None:
    told = tmp_path / "told"
    port = free_port()
    settings = {"STATE__HOST": HOST, "ALERTS__COMMAND": ["sh", "-c", SCRIPT, str(told)]}
    talk = Talk(projects)

    def lines() -> list[str]:
        return told.read_text().splitlines() if told.exists() else []

    def ask_and_answer(count: int) -> None:
        call = talk.call("AskUserQuestion", QUESTION)
        wait_until(lambda: len(lines()) >= count, "the command was run")
        talk.result(call, "Blue")
        wait_until(
            lambda: log.value("SELECT count(*) FROM tool_calls WHERE outcome IS NULL") == 0,
            "the answer is in the log",
        )

    with watcher.running():
        talk.prompt("paint the door")
        with website(watcher.state, log.url, port, **settings):
            remembered = watcher.state / "waiting-alerts.json"
            wait_until(remembered.exists, "the first look")
            ask_and_answer(1)
            ask_and_answer(2)
        with website(watcher.state, log.url, port, **settings):
            ask_and_answer(3)
    asked = f"waiting|paint the door (work / app, {HOST}): Which colour?|{talk.session}"
    assert lines() == [asked] * 3
