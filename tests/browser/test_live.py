"""What happens is on the page at once, and nothing that is being read moves."""

from __future__ import annotations

import time
from typing import Any

import pytest

from browser.recorded import Talk

sync_api = pytest.importorskip("playwright.sync_api")
QUESTION = {
    "questions": [
        {
            "question": "Which colour?",
            "options": [
                {"label": "Red", "description": "as it was"},
                {"label": "Blue", "description": "as the sky"},
            ],
        }
    ]
}


def mark_seen(page: Any, words: str) -> None:
    page.locator("#log").get_by_text(words, exact=True).first.wait_for()


def see(locator: Any) -> None:
    sync_api.expect(locator).to_be_visible()


def test_an_event_arrives_at_the_top(desk: Any) -> None:
    talk = Talk(desk.projects)
    page, sessions = desk.open("/events"), desk.open("/sessions")
    see(page.get_by_role("heading", name="No events yet"))
    see(sessions.get_by_role("heading", name="No sessions yet"))
    talk.prompt("the first words")
    see(page.get_by_text("the first words").first)
    see(sessions.get_by_role("link", name="the first words"))
    see(page.get_by_text("Live", exact=True))
    page.get_by_text("Events over time as a table").click()
    talk.answer("an answer that arrives")
    see(page.locator("#log li").first.get_by_text("an answer that arrives"))
    see(page.get_by_role("table", name="Events over time"))
    box = page.locator(".hist svg").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"], box["y"] + 20)
    page.mouse.up()
    page.wait_for_url("**since=**until=**")


def test_what_is_read_stays_and_a_pill_tells_of_more(desk: Any) -> None:
    talk = Talk(desk.projects)
    talk.prompt("what is read")
    page = desk.open("/events")
    page.locator("#log summary").filter(has_text="prompt").click()
    see(page.get_by_role("group", name="Payload"))
    talk.answer("more")
    pill = page.get_by_role("button", name="1 new")
    see(pill)
    see(page.get_by_text("Paused while you read."))
    assert "more" not in page.locator("#log").inner_text()
    pill.click()
    see(page.locator("#log li").nth(0).get_by_text("more"))
    see(page.get_by_text("Read up to here at"))
    see(page.get_by_text("Live", exact=True))
    page.get_by_text("Pause", exact=True).click()
    for number in range(60):
        talk.answer(f"one of many: {number:02}")
    page.get_by_role("button", name="50+ new").click()
    page.locator("#log").get_by_role("link", name="Older: before").click()
    see(page.locator("#log").get_by_text("one of many: 05"))


def test_the_state_of_a_session_changes_as_it_goes_on(desk: Any) -> None:
    """A prompt, a call, a question, an answer to it, the end, and the next prompt."""
    talk = Talk(desk.projects)
    page = desk.open("/")
    see(page.get_by_role("heading", name="No sessions yet"))
    talk.prompt("paint the door")
    see(page.get_by_role("heading", name="Working 1"))
    call = talk.call("Bash", {"command": "ls paints"})
    see(page.locator(".group-work").get_by_text("ls paints"))
    talk.result(call, "red blue")
    question = talk.call("AskUserQuestion", QUESTION)
    see(page.get_by_role("heading", name="One session needs you"))
    see(page.locator(".ask").get_by_text("Which colour?"))
    see(page.locator(".ask").get_by_text("Blue: as the sky"))
    assert page.title().startswith("(1) Now")
    talk.result(question, "Blue")
    see(page.get_by_role("heading", name="Nobody needs you"))
    see(page.get_by_role("heading", name="Working 1"))
    talk.answer("Painted.", stop_reason="end_turn")
    see(page.locator(".group-turn").get_by_text("reply ended (end_turn)"))
    talk.prompt("and the window")
    see(page.get_by_role("heading", name="Working 1"))


def test_a_hook_says_that_a_reply_is_over_and_that_someone_is_wanted(desk: Any) -> None:
    from claude_headspace.inbox import put

    talk = Talk(desk.projects)
    talk.prompt("may I", ago=3)
    page = desk.open("/")
    see(page.get_by_role("heading", name="Working 1"))
    told = {"claude_session_id": talk.session, "working_directory": talk.cwd}
    put(
        desk.watcher.state / "inbox", "hook_received",
        {
            **told, "hook_type": "Notification", "notification_type": "permission_prompt",
            "message": "Claude needs your permission to use Bash",
        },
    )  # fmt: skip
    see(page.locator(".ask").get_by_text("Claude needs your permission to use Bash"))
    talk.answer("I did")
    see(page.get_by_role("heading", name="Nobody needs you"))
    put(desk.watcher.state / "inbox", "hook_received", {**told, "hook_type": "Stop"})
    see(page.locator(".group-turn").get_by_text("reply ended"))
    see(page.locator(".last").get_by_text("I did"))


def test_a_session_grows_under_the_eyes(desk: Any) -> None:
    talk = Talk(desk.projects)
    talk.prompt("begin")
    call = talk.call("Bash", {"command": "sleep 1"})
    page = desk.open(f"/sessions/{talk.session}")
    line = page.locator("details.tool")
    see(line.get_by_text("running"))
    page.keyboard.press("]")
    line.locator("summary").click()
    talk.result(call, "slept")
    talk.answer("It **slept**.")
    see(page.locator(".prose strong", has_text="slept"))
    sync_api.expect(line).to_have_attribute("open", "")
    sync_api.expect(page.locator("[data-row].current h2")).to_have_text("begin")
    talk.prompt("and again")
    see(page.get_by_role("heading", name="and again"))
    see(page.get_by_role("navigation", name="Prompts").get_by_text("and again"))


def test_what_was_missed_arrives_when_the_connection_is_back(desk: Any) -> None:
    talk = Talk(desk.projects)
    talk.prompt("before")
    page = desk.open("/events")
    see(page.get_by_text("before").first)
    page.context.set_offline(True)
    desk.site.process.send_signal(19)  # SIGSTOP: nothing answers
    talk.answer("meanwhile")
    desk.site.process.send_signal(18)
    page.context.set_offline(False)
    see(page.locator("#log").get_by_text("meanwhile"))
    page.problems.clear()


def test_an_event_is_on_the_page_soon_after_the_append(desk: Any, record_property: Any) -> None:
    """No bound but patience: the figure is for the benchmarks."""
    talk = Talk(desk.projects)
    talk.prompt("start")
    page = desk.open("/events")
    see(page.get_by_text("start").first)
    took = []
    for number in range(5):
        began = time.monotonic()
        talk.answer(f"mark {number}")
        mark_seen(page, f"mark {number}")
        took.append(time.monotonic() - began)
        time.sleep(1)
    record_property("figures", f"append to page: {[round(each * 1000) for each in took]} ms")
