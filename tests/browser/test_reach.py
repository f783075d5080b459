"""For whoever looks with keys, on a narrow screen, or with a screen reader."""

from __future__ import annotations

from typing import Any

import pytest

from browser.recorded import Talk

sync_api = pytest.importorskip("playwright.sync_api")
SERIOUS = ("serious", "critical")


def see(locator: Any) -> None:
    sync_api.expect(locator).to_be_visible()


@pytest.fixture
def talk(desk: Any) -> Talk:
    made = Talk(desk.projects)
    made.prompt("the first of all", ago=3000)
    made.answer("yes", ago=2999)
    bad = made.call("Bash", {"command": "false"}, ago=2998)
    made.result(bad, "Exit code 1", ago=2997, error=True)
    made.prompt("the second", ago=60)
    made.answer("a `word` and | a | table |\n\n| a | b |\n|---|---|\n| 1 | 2 |\n", ago=59)
    made.prompt("the third", ago=30)
    made.call("AskUserQuestion", {"questions": [{"question": "So?", "options": []}]}, ago=20)
    return made


def test_everything_is_reached_by_keys(desk: Any, talk: Talk) -> None:
    page = desk.open("/")
    see(page.get_by_role("heading", name="One session needs you"))
    page.keyboard.press("n")
    sync_api.expect(page.locator(":focus")).to_have_text("the first of all")
    page.keyboard.press("r")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == f"cd {talk.cwd} && claude --resume {talk.session}"
    page.keyboard.press("Enter")
    see(page.get_by_role("heading", level=1, name="the first of all"))
    page.goto(desk.address(f"/sessions/{talk.session}?prompt=1"))
    for key, words in (("]", "the first of all"), ("]", "the second"), ("[", "the first of all")):
        page.keyboard.press(key)
        sync_api.expect(page.locator("[data-row].current h2")).to_have_text(words)
    page.keyboard.press("s")
    sync_api.expect(page.locator("[data-row].current h2")).to_have_text("the second")
    page.keyboard.press("E")
    sync_api.expect(page.locator(":focus")).to_contain_text("false")
    page.keyboard.press("o")
    see(page.get_by_role("group", name="Output"))
    page.keyboard.press("g")
    page.keyboard.press("e")
    page.wait_for_url(desk.address("/events"))
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    see(page.locator("#log details[open] .body"))
    page.keyboard.press("/")
    sync_api.expect(page.get_by_label("Search all sessions")).to_be_focused()
    page.keyboard.type("gs?")
    assert page.url == desk.address("/events")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    see(page.get_by_role("heading", name="All keys"))


def test_keys_can_be_switched_off(desk: Any, talk: Talk) -> None:
    page = desk.open("/keys")
    page.get_by_role("button", name="Turn all keys off").click()
    page.keyboard.press("/")
    sync_api.expect(page.get_by_label("Search all sessions")).not_to_be_focused()
    page.goto(desk.address("/"))
    page.keyboard.press("/")
    sync_api.expect(page.get_by_label("Search all sessions")).not_to_be_focused()


def test_the_first_tab_leads_to_the_content(desk: Any) -> None:
    page = desk.open("/")
    page.keyboard.press("Tab")
    sync_api.expect(page.locator(":focus")).to_have_text("Skip to content")
    page.keyboard.press("Enter")
    sync_api.expect(page.locator("main")).to_be_focused()


PATHS = ("/", "/sessions", "/sessions/{session}", "/events", "/activity", "/search?q=second",
         "/status", "/keys", "/sessions?q=nothing")  # fmt: skip


@pytest.mark.parametrize("width", [400, 900, 1600])
def test_nothing_is_wider_than_the_screen(desk: Any, talk: Talk, width: int) -> None:
    talk.answer("x" * 3000 + "\n\n```\n" + "y" * 3000 + "\n```", ago=1)
    page = desk.open("/", width=width)
    for path in PATHS:
        page.goto(desk.address(path.format(session=talk.session)))
        over = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert over <= 0, path


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        (400, "light"),
        pytest.param(400, "dark", marks=pytest.mark.long),
        pytest.param(1600, "light", marks=pytest.mark.long),
        pytest.param(1600, "dark", marks=pytest.mark.long),
    ],
)
def test_axe_finds_nothing_serious(desk: Any, talk: Talk, scheme: str, width: int) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = desk.open("/", width=width, color_scheme=scheme, bypass_csp=True)
    see(page.get_by_role("heading", name="One session needs you"))
    for path in PATHS:
        page.goto(desk.address(path.format(session=talk.session)))
        for fold in page.locator("main details").all()[:6]:
            fold.evaluate("each => each.open = true")
        page.wait_for_timeout(150)
        found = [
            (each["id"], each["nodes"][0]["html"][:200])
            for each in axe.run(page).response["violations"]
            if each["impact"] in SERIOUS
        ]
        assert found == [], path


def test_the_theme_is_chosen_and_remembered(desk: Any) -> None:
    page = desk.open("/")
    page.get_by_role("button", name="Dark").click()
    sync_api.expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()
    sync_api.expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.get_by_role("button", name="System").click()
    page.reload()
    assert page.locator("html").get_attribute("data-theme") is None
