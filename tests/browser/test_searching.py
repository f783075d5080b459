"""Where was that: words, plain text, what tools were asked and put out, thoughts."""

from __future__ import annotations

from typing import Any

import pytest

from browser.recorded import Talk

sync_api = pytest.importorskip("playwright.sync_api")


def see(locator: Any) -> None:
    sync_api.expect(locator).to_be_visible()


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
