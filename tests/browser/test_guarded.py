"""Who may look, what a transcript may not do, and what the page says when something breaks."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from browser.recorded import Talk

sync_api = pytest.importorskip("playwright.sync_api")
PATIENCE = 30_000
HOSTILE = (
    "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
    " <a href='javascript:window.hacked=1'>a</a> [b](javascript:window.hacked=1)"
    " [c](data:text/html,x) ![d](http://127.0.0.1:1/x.png) <style>*{display:none}</style>"
    " </textarea></title>\"'`{{1311*7}} <https://example.org/ok>"
)


def see(locator: Any) -> None:
    sync_api.expect(locator).to_be_visible()


def test_without_the_token_nothing_is_shown(desk: Any) -> None:
    Talk(desk.projects).prompt("a secret")
    for path in ("/", "/sessions", "/events", "/activity", "/search?q=secret"):
        page = desk.open(path, known=False)
        see(page.get_by_role("heading", name="Open this page with your own link").last)
        see(page.get_by_text("claude-headspace open").first)
        assert "a secret" not in page.content()
    page = desk.open("/")
    see(page.get_by_role("link", name="a secret"))


def test_a_link_works_once(desk: Any) -> None:
    from claude_headspace.web.access_token import new_link_code

    code = new_link_code(desk.site.state)
    first = desk.open(f"/open?code={code}", known=False)
    first.wait_for_url(desk.address("/"))
    second = desk.open(f"/open?code={code}", known=False)
    see(second.get_by_role("heading", name="This link was used before").last)


def test_text_of_a_transcript_does_nothing(desk: Any) -> None:
    talk = Talk(desk.projects, cwd="/home/u/<b>app")
    talk.prompt(HOSTILE, ago=9)
    talk.answer([{"type": "thinking", "thinking": HOSTILE}], ago=8)
    talk.answer(HOSTILE, ago=8)
    call = talk.call(f"Bash{HOSTILE[:40]}", {"command": HOSTILE, HOSTILE: HOSTILE}, ago=7)
    talk.result(call, HOSTILE, ago=6, error=True)
    talk.call("AskUserQuestion", {"questions": [{"question": HOSTILE, "options": []}]}, ago=5)
    page = desk.open("/")
    see(page.locator(".ask"))
    for path in (
        "/", "/sessions", f"/sessions/{talk.session}", "/events", "/activity", "/status",
        f"/sessions/{talk.session}/calls/{call}", f"/sessions?q={HOSTILE[:20]}",
    ):  # fmt: skip
        page.goto(desk.address(path))
        for fold in page.locator("main details").all():
            fold.evaluate("each => each.open = true")
        page.wait_for_timeout(100)
        assert page.evaluate("window.hacked") is None, path
        links = page.eval_on_selector_all(
            "a[href]",
            "all => all.map(each => new URL(each.getAttribute('href'), location).protocol)",
        )
        assert set(links) <= {"http:", "https:"}, path
        assert page.locator("main img, main script, main style, main iframe").count() == 0, path
        assert "9177" not in page.locator("main").inner_text(), path


def test_everything_reads_without_javascript(desk: Any) -> None:
    talk = Talk(desk.projects)
    talk.prompt("read me", ago=9)
    call = talk.call("Bash", {"command": "ls"}, ago=8)
    talk.result(call, "a listing", ago=7)
    talk.answer("All **read**.", ago=6)
    desk.open("/").get_by_role("link", name="read me").wait_for()
    page = desk.open("/", java_script_enabled=False)
    see(page.get_by_text("This page does not update by itself."))
    page.get_by_role("link", name="read me").first.click()
    see(page.locator(".prose strong", has_text="read"))
    page.locator("details.tool summary").click()
    page.get_by_role("link", name="Input and output").click()
    see(page.get_by_text("a listing"))
    page.get_by_role("link", name="Events").click()
    page.locator("#log summary").first.click()
    page.get_by_role("link", name="The whole payload").first.click()
    see(page.get_by_role("group", name="Payload").or_(page.get_by_role("group", name="Input")))
    page.get_by_role("link", name="Activity").click()
    see(page.get_by_role("link", name="read me"))
    page.get_by_role("link", name="all keys").click()
    see(page.get_by_role("heading", name="All keys"))


def test_the_strip_tells_by_itself_that_nothing_is_captured_and_that_it_is_again(
    desk: Any,
) -> None:
    page = desk.open("/")
    strip = page.get_by_role("complementary", name="Health")
    sync_api.expect(strip).not_to_contain_text("Nothing is being captured")
    desk.watcher.process.send_signal(signal.SIGKILL)
    desk.watcher.process.wait()
    sync_api.expect(strip).to_contain_text("Nothing is being captured", timeout=PATIENCE)
    see(strip.get_by_role("button", name="Copy command"))
    desk.watcher.start()
    sync_api.expect(strip).not_to_contain_text("Nothing is being captured", timeout=PATIENCE)


def test_a_page_that_cannot_be_read_says_why_and_comes_back(
    desk: Any, postgres_server: Any
) -> None:
    Talk(desk.projects).prompt("still here")
    page = desk.open("/")
    see(page.get_by_role("link", name="still here"))
    name = desk.log.value("SELECT current_database()")
    postgres_server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    postgres_server.execute(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    )
    page.goto(desk.address("/status"))
    see(page.get_by_role("heading", name="Health: ").first)
    page.goto(desk.address("/sessions"))
    see(page.get_by_role("heading", name="This page can’t be read now").last)
    postgres_server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    page.get_by_role("link", name="Try again").click()
    see(page.get_by_role("link", name="still here"))


def test_what_does_not_exist_is_told(desk: Any) -> None:
    page = desk.open("/sessions/00000000")
    see(page.get_by_role("heading", name="Not found").last)
    page.goto(desk.address("/nowhere"))
    see(page.get_by_text("there is nothing at /nowhere").last)
    page.goto(desk.address("/events?since=yesterday"))
    see(page.get_by_role("heading", name="Invalid request").last)
