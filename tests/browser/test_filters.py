"""What is shown is what was asked for: every filter, alone and taken away again."""

from __future__ import annotations

from typing import Any

import pytest

from browser.recorded import Talk

sync_api = pytest.importorskip("playwright.sync_api")


def see(locator: Any) -> None:
    sync_api.expect(locator).to_be_visible()


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
    page.get_by_role("region", name="Filters").get_by_role("link", name="Working").click()
    page.wait_for_url("**state=work**")
    assert "q=horse" in page.url
    page.goto(desk.address("/sessions"))
    page.get_by_role("region", name="Filters").get_by_role("link", name="other").click()
    sync_api.expect(page.get_by_role("link", name="about horses")).to_have_count(0)
    page.get_by_role("link", name="Remove filter Project").click()
    see(page.get_by_role("link", name="about horses"))
    page.goto(desk.address("/sessions?q=nothing+like+it"))
    see(page.get_by_role("heading", name="No session matches"))
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


def test_a_value_of_an_event_is_filtered_for_and_out(desk: Any, worked: Talk) -> None:
    page = desk.open("/events?type=prompt&q=fix")
    page.locator("#log summary").filter(has_text="fix it").click()
    page.get_by_role("link", name="Without type prompt").click()
    log = page.locator("#log .tx")
    see(log.get_by_text("Fixed.").first)
    assert "fix it" not in log.all_inner_texts()
    assert "why is it broken" not in log.all_inner_texts()
    page.get_by_role("link", name="Remove filter Type not prompt").click()
    see(log.get_by_text("fix it").first)


def test_every_facet_narrows_down(desk: Any) -> None:
    one, other = Talk(desk.projects), Talk(desk.projects, cwd="/home/u/work/other")
    one.prompt("about horses", ago=9)
    one.answer("a horse", ago=8, stop_reason="end_turn")
    other.prompt("about boats", ago=5)
    page = desk.open("/sessions")
    see(page.get_by_role("link", name="about boats"))
    for view, facet, shown, hidden in (
        ("/sessions", "Your turn", "about horses", "about boats"),
        ("/sessions", "Working", "about boats", "about horses"),
        ("/events", "other", "about boats", "about horses"),
        ("/search?q=about", "app", "about horses", "about boats"),
    ):
        page.goto(desk.address(view))
        main = page.get_by_role("main")
        for _ in range(30):
            if main.get_by_text(shown).count() and main.get_by_text(hidden).count():
                break
            page.wait_for_timeout(300)  # the index of words is behind for a moment
            page.reload()
        page.get_by_role("region", name="Filters").get_by_role("link", name=facet).first.click()
        page.wait_for_url("**=**")
        see(main.get_by_text(shown).first)
        sync_api.expect(main.get_by_text(hidden)).to_have_count(0)
    for view in ("/sessions", "/events"):
        page.goto(desk.address(f"{view}?host=nobody"))
        sync_api.expect(page.locator("[data-row]")).to_have_count(0)
        page.get_by_role("link", name="Remove filter Host nobody").click()
        see(page.locator("[data-row]").get_by_text("about boats").first)
    page.goto(desk.address("/search?q=horse&in=prompts"))
    see(page.get_by_role("heading", name="“horse” is in no prompt"))
    page.goto(desk.address("/search?q=horses&in=prompts"))
    page.get_by_role("region", name="Filters").get_by_role("link", name="Today").click()
    see(page.locator("a.hit mark"))
