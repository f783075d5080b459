"""Sessions, one session, what was done in it, events page by page, activity."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from browser.recorded import Talk

sync_api = pytest.importorskip("playwright.sync_api")


def see(locator: Any) -> None:
    sync_api.expect(locator).to_be_visible()


def test_a_session_is_read_with_all_that_was_done(desk: Any, worked: Talk) -> None:
    page = desk.open("/sessions")
    page.get_by_role("link", name="why is it broken").click()
    see(page.get_by_role("heading", level=1, name="why is it broken"))
    see(page.get_by_role("heading", name="Found it"))
    see(page.locator(".thinking summary").get_by_text("It may be the index."))
    tools = page.locator("details.tool")
    see(tools.filter(has_text="git status").get_by_text("exit 128"))
    see(tools.filter(has_text="a.py").get_by_text("You declined").first)
    assert "+1 −1" in tools.filter(has_text="a.py").first.inner_text()
    see(page.get_by_text(" lines captured"))
    see(page.get_by_role("navigation", name="Prompts").get_by_text("fix it"))


def test_a_call_opens_to_what_it_was_given_and_what_came_back(desk: Any, worked: Talk) -> None:
    page = desk.open(f"/sessions/{worked.session}")
    fsck = page.locator("details.tool").filter(has_text="git fsck")
    fsck.locator("summary").click()
    see(fsck.get_by_role("group", name="Output").get_by_text("missing tree 5678"))
    edit = page.locator("details.tool").filter(has_text="a.py")
    edit.locator("summary").click()
    see(edit.locator(".del", has_text="b"))
    see(edit.locator(".add", has_text="c"))
    fsck.get_by_role("button", name="Copy").first.click()
    assert page.evaluate("navigator.clipboard.readText()") == "git fsck"


def test_a_subagent_stands_within_the_call_that_started_it(desk: Any, worked: Talk) -> None:
    page = desk.open(f"/sessions/{worked.session}")
    task = page.locator("details.tool").filter(has_text="find writers").first
    task.locator("summary").first.click()
    see(task.locator(".agent strong", has_text="three"))
    see(task.locator(".agent .tool").filter(has_text="worktree"))
    main = page.locator("#turns > .turn > .reply > .prose")
    assert "subagent" not in " ".join(main.all_inner_texts())


def test_a_subagent_of_a_subagent_stands_within_it(desk: Any) -> None:
    talk = Talk(desk.projects)
    talk.prompt("ask around", ago=50)
    outer = talk.call("Task", {"description": "outer"}, ago=49)
    inner = talk.call("Task", {"description": "inner"}, ago=48, subagent="a1")
    talk.answer("deep words", ago=47, subagent="b2")
    talk.result(inner, "done", ago=46, subagent="a1", toolUseResult={"agentId": "b2"})
    talk.answer("outer words", ago=45, subagent="a1")
    talk.result(outer, "done", ago=44, toolUseResult={"agentId": "a1"})
    page = desk.open(f"/sessions/{talk.session}")
    page.locator("details.tool").filter(has_text="outer").first.locator("summary").first.click()
    within = page.locator(".agent details.tool").filter(has_text="inner")
    within.locator("summary").first.click()
    see(within.locator(".agent").get_by_text("deep words"))
    see(page.get_by_text("2 calls"))


def test_a_session_is_exported_without_its_secrets(desk: Any, worked: Talk) -> None:
    worked.prompt("use ghp_" + "a1B2" * 9, ago=1)
    page = desk.open(f"/sessions/{worked.session}")
    see(page.get_by_role("heading", name="use ghp_"))
    with page.expect_download() as download:
        page.get_by_role("link", name="Markdown").click()
    text = Path(download.value.path()).read_text("utf-8")
    assert "## 1. why is it broken" in text
    assert "- Bash `git status` (failed, 1.0 s)" in text
    assert "[redacted:" in text
    assert "ghp_" not in text


def test_only_prompts_or_failures_can_be_shown(desk: Any, worked: Talk) -> None:
    page = desk.open(f"/sessions/{worked.session}")
    show = page.get_by_role("navigation", name="Show")
    show.get_by_role("link", name="Failures 1").click()
    see(page.locator("details.tool").filter(has_text="git status"))
    assert page.locator("details.tool").count() == 1
    show.get_by_role("link", name="Prompts").click()
    sync_api.expect(page.locator(".prose")).to_have_count(0)
    see(page.get_by_role("heading", name="fix it"))


def test_what_was_rewound_is_folded_and_told(desk: Any) -> None:
    talk = Talk(desk.projects)
    talk.prompt("start", ago=50)
    talk.answer("yes", ago=49)
    talk.prompt("the wrong way", ago=40, parentUuid="11111111-0000-4000-8000-000000000000")
    talk.answer("wrong", ago=39)
    talk.prompt("the right way", ago=30, parentUuid="11111111-0000-4000-8000-000000000000")
    talk.answer("right", ago=29)
    page = desk.open(f"/sessions/{talk.session}")
    see(page.get_by_text("Abandoned."))
    sync_api.expect(page.get_by_role("heading", name="the wrong way")).to_be_hidden()
    page.get_by_text("Abandoned.").click()
    see(page.get_by_role("heading", name="the wrong way"))


def test_a_long_session_is_read_page_by_page(desk: Any) -> None:
    talk = Talk(desk.projects)
    for number in range(70):
        talk.prompt(f"prompt number {number + 1}", ago=500 - number)
        talk.answer(f"answer number {number + 1}", ago=499 - number)
    desk.log.value("SELECT 1")
    page = desk.open(f"/sessions/{talk.session}")
    see(page.get_by_text("answer number 70"))
    for number in range(70, 91):
        talk.prompt(f"prompt number {number + 1}", ago=400 - number)
        talk.answer(f"answer number {number + 1}", ago=399 - number)
    see(page.get_by_text("answer number 91"))
    see(page.get_by_text("answer number 70"))
    page.get_by_role("link", name="Show prompts 31 to 60").click()
    see(page.get_by_text("answer number 31"))
    page.get_by_role("link", name="Show prompts 1 to 30").click()
    see(page.get_by_text("answer number 1", exact=True))
    page.get_by_role("navigation", name="Prompts").get_by_text("prompt number 65").click()
    see(page.get_by_text("answer number 65"))


def test_events_are_read_page_by_page(desk: Any) -> None:
    talk = Talk(desk.projects)
    for number in range(60):
        talk.prompt(f"event {number:02}", ago=200 - number)
    page = desk.open("/events?type=prompt")
    see(page.locator("#log .tx").get_by_text("event 59"))
    first = page.locator("#log .tx").all_inner_texts()
    page.get_by_role("link", name="Older: before").click()
    see(page.locator("#log .tx").get_by_text("event 00"))
    both = first + page.locator("#log .tx").all_inner_texts()
    assert both == [f"event {number:02}" for number in reversed(range(60))]


def test_an_event_leads_to_its_place_in_the_session(desk: Any, worked: Talk) -> None:
    page = desk.open("/events?type=prompt")
    page.locator("#log summary").filter(has_text="fix it").click()
    page.get_by_role("link", name="Show in session").click()
    see(page.get_by_role("heading", level=2, name="fix it"))
    assert page.evaluate("document.querySelector(location.hash) !== null")


def test_activity_adds_up_and_leads_deeper(desk: Any, worked: Talk) -> None:
    page = desk.open("/activity")
    totals = page.locator(".totals")
    sync_api.expect(totals).to_contain_text("prompts")
    words = totals.inner_text().split()
    assert words[words.index("prompts") + 1] == "2"
    see(page.get_by_role("link", name="why is it broken"))
    page.get_by_text("These charts as a table").click()
    see(page.get_by_role("table", name="Activity"))
    page.get_by_role("navigation", name="Range").get_by_role("link", name="Month").click()
    page.wait_for_url("**range=month**")
    see(page.get_by_role("link", name="why is it broken"))
