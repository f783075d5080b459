"""Sessions, one session, what was done in it, events by filters, page by page."""

from __future__ import annotations

from typing import Any

import pytest

from browser.recorded import Talk

sync_api = pytest.importorskip("playwright.sync_api")


def see(locator: Any) -> None:
    sync_api.expect(locator).to_be_visible()


@pytest.fixture
def worked(desk: Any) -> Talk:
    """A session with calls that worked and failed, an edit that was declined, and a subagent."""
    talk = Talk(desk.projects)
    talk.prompt("why is it broken", ago=90)
    talk.answer([{"type": "thinking", "thinking": "It may be the index."}], ago=89)
    good = talk.call("Bash", {"command": "git fsck", "description": "look"}, ago=88)
    talk.result(good, "dangling blob 1234\nmissing tree 5678", ago=87)
    bad = talk.call("Bash", {"command": "git status"}, ago=86)
    talk.result(bad, "Exit code 128\nfatal: bad object", ago=85, error=True)
    task = talk.call(
        "Task", {"description": "find writers", "subagent_type": "Explore", "prompt": "p"}, ago=80
    )
    inner = talk.call("Grep", {"pattern": "worktree"}, ago=79, subagent="a1b2c3")
    talk.result(inner, "3 files", ago=78, subagent="a1b2c3")
    talk.answer("The subagent found **three**.", ago=77, subagent="a1b2c3")
    talk.result(task, "three", ago=76, toolUseResult={"agentId": "a1b2c3"})
    edit = {"file_path": f"{talk.cwd}/a.py", "old_string": "a\nb", "new_string": "a\nc"}
    declined = talk.call("Edit", edit, ago=70)
    refusal = "The user doesn't want to proceed with this tool use."
    talk.result(declined, refusal, ago=69, error=True)
    talk.answer("## Found it\n\nThe `index` is broken.\n\n```\ngit read-tree HEAD\n```", ago=68)
    talk.prompt("fix it", ago=20)
    talk.answer("Fixed.", ago=19)
    return talk


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
    see(page.get_by_text(" lines, none twice"))
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
    page.get_by_role("link", name="Show prompts 31 to 60").click()
    see(page.get_by_text("answer number 31"))
    page.get_by_role("link", name="Show prompts 1 to 30").click()
    see(page.get_by_text("answer number 1", exact=True))
    page.get_by_role("navigation", name="Prompts").get_by_text("prompt number 65").click()
    see(page.get_by_text("answer number 65"))


def test_sessions_are_found_by_typing_and_by_facets(desk: Any) -> None:
    first, second = Talk(desk.projects), Talk(desk.projects, cwd="/home/u/work/other")
    first.prompt("about horses", ago=9)
    second.prompt("about boats", ago=5)
    page = desk.open("/sessions")
    see(page.get_by_role("link", name="about boats"))
    page.get_by_label("Find by title").type("horse")
    sync_api.expect(page.get_by_role("link", name="about boats")).to_have_count(0)
    see(page.get_by_role("link", name="about horses"))
    assert "q=horse" in page.url
    page.goto(desk.address("/sessions"))
    page.get_by_role("region", name="Filters").get_by_role("link", name="other").click()
    sync_api.expect(page.get_by_role("link", name="about horses")).to_have_count(0)
    page.get_by_role("link", name="Remove filter Project").click()
    see(page.get_by_role("link", name="about horses"))
    page.goto(desk.address("/sessions?q=nothing+like+it"))
    see(page.get_by_role("heading", name="No session is like this"))
    page.get_by_role("link", name="Remove “nothing like it”").click()
    see(page.get_by_role("link", name="about horses"))


@pytest.mark.parametrize(
    ("facet", "shown", "hidden"),
    [
        ("prompt", "why is it broken", "git fsck"),
        ("tool failed", "git status", "why is it broken"),
        ("you", "fix it", "git fsck"),
        ("subagent", "worktree", "git fsck"),
    ],
)
def test_events_are_filtered(desk: Any, worked: Talk, facet: str, shown: str, hidden: str) -> None:
    page = desk.open("/events")
    log = page.locator("#log .tx")
    see(log.get_by_text("Fixed.").first)
    page.get_by_role("region", name="Filters").get_by_role("link", name=facet).first.click()
    see(log.get_by_text(shown).first)
    assert hidden not in " ".join(log.all_inner_texts())


def test_events_are_filtered_by_words_session_time_and_kind(desk: Any, worked: Talk) -> None:
    other = Talk(desk.projects)
    other.prompt("something else")
    page = desk.open("/events")
    log = page.locator("#log")
    see(log.get_by_text("something else").first)
    page.get_by_label("Words in the text").fill("FSCK")
    page.get_by_label("Words in the text").press("Enter")
    see(log.get_by_text("git fsck").first)
    assert "something else" not in log.inner_text()
    page.goto(desk.address(f"/events?session={other.session}"))
    see(log.get_by_text("something else").first)
    assert "git fsck" not in log.inner_text()
    page.goto(desk.address("/events?log=true"))
    see(log.get_by_text("something else").first)
    assert "tool call" not in log.inner_text()
    bars = page.locator(".hist svg a")
    bars.last.click()
    page.wait_for_url("**since=**")
    see(log.get_by_text("something else").first)


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
    page.get_by_text("These strips, as a table").click()
    see(page.get_by_role("table", name="Activity"))
    page.get_by_role("navigation", name="Range").get_by_role("link", name="Month").click()
    page.wait_for_url("**range=month**")
    see(page.get_by_role("link", name="why is it broken"))


def test_a_search_leads_to_the_turn(desk: Any, worked: Talk) -> None:
    page = desk.open("/")
    box = page.get_by_label("Search all sessions")
    box.fill("index broken")
    box.press("Enter")
    hit = page.locator("a.hit")
    wait_for_index(page, hit)
    sync_api.expect(hit.locator("mark").first).to_have_text("index")
    hit.first.click()
    see(page.get_by_role("heading", name="Found it"))
    assert page.evaluate("document.querySelector(location.hash).innerText").startswith("Found it")


def wait_for_index(page: Any, hit: Any) -> None:
    """The index is behind the log for a moment: ask again until it is not."""
    for _ in range(30):
        if hit.count():
            return
        page.wait_for_timeout(300)
        page.reload()
    raise AssertionError("nothing was found")


def test_a_search_finds_code_and_what_tools_were_asked(desk: Any, worked: Talk) -> None:
    page = desk.open("/search?q=read-tree+HE")
    see(page.get_by_role("heading", name="“read-tree HE” is in no turn"))
    page.get_by_role("link", name="Show 1 turn").click()
    sync_api.expect(page.locator("a.hit mark")).to_have_text("read-tree HE")
    page.goto(desk.address("/search?q=fsck"))
    page.get_by_role("region", name="Filters").get_by_role("link", name="Tool inputs").click()
    page.locator("a.hit").first.click()
    call = page.locator("details.tool[open]").filter(has_text="git fsck")
    see(call.get_by_role("group", name="Output").get_by_text("missing tree 5678"))


def test_a_search_finds_outputs_and_thoughts(desk: Any, worked: Talk) -> None:
    page = desk.open("/search?q=tree+5678&match=plain&in=outputs")
    page.reload()
    sync_api.expect(page.locator("a.hit mark")).to_have_text("tree 5678")
    see(page.locator("#looked", has_text="1 found"))
    page.locator("a.hit").click()
    call = page.locator("details.tool[open]").filter(has_text="git fsck")
    see(call.get_by_role("group", name="Output").get_by_text("missing tree 5678"))
    page.goto(desk.address("/search?q=index&in=thinking"))
    page.locator("a.hit").click()
    see(page.locator(".thinking[open] .think", has_text="It may be the index."))


def test_a_value_of_an_event_is_filtered_for_and_out(desk: Any, worked: Talk) -> None:
    page = desk.open("/events?type=prompt")
    page.locator("#log summary").filter(has_text="fix it").click()
    page.get_by_role("link", name="Without type prompt").click()
    log = page.locator("#log .tx")
    see(log.get_by_text("Fixed.").first)
    assert "fix it" not in log.all_inner_texts()
    page.get_by_role("link", name="Remove filter Type not prompt").click()
    see(log.get_by_text("fix it").first)
