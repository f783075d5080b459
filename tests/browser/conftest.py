"""A browser before the page, with a real watcher and a real log behind it."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from browser.recorded import Talk
from claude_headspace.web.access_token import new_link_code
from harness import HOST, Log, Projects, Watcher
from website import Website, website

sync_api = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: pip install playwright"
)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
OPTIONS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run",
)  # fmt: skip
PATIENCE = 15_000
sync_api.expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium of the system."""
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=list(OPTIONS))
        yield launched
        launched.close()


@dataclass
class Desk:
    """A person's desk: transcripts that grow, and the page beside them."""

    browser: Any
    site: Website
    projects: Projects
    watcher: Watcher
    log: Log

    def open(self, path: str = "/", *, known: bool = True, **options: Any) -> Any:
        """A new browser's page, with the cookie that a link of one's own gives."""
        context = self.browser.new_context(
            viewport={"width": options.pop("width", 1400), "height": options.pop("height", 900)},
            reduced_motion="reduce",
            **options,
        )
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.problems = []
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.on("console", lambda told: _note(page, told))
        if known:
            page.goto(self.address(f"/open?code={new_link_code(self.site.state)}"))
            page.wait_for_url(self.address("/"))
        if path != "/" or not known:
            page.goto(self.address(path))
        return page

    def address(self, path: str) -> str:
        """Of a view."""
        return f"http://127.0.0.1:{self.site.port}{path}"


def _note(page: Any, told: Any) -> None:
    """What the browser complains of, such as a script that its policy refused."""
    if told.type == "error" and "Failed to load resource" not in told.text:
        page.problems.append(told.text)


@pytest.fixture
def desk(
    browser: Any, tmp_path: Path, projects: Projects, watcher: Watcher, log: Log
) -> Iterator[Desk]:
    """A watcher that captures and a page that shows it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    watcher.start()
    watcher.wait_ready()
    settings = {"STATE__HOST": HOST, "CLAUDE__PROJECTS_PATH": [str(projects.root)]}
    with website(watcher.state, log.url, port, **settings) as site:
        made = Desk(browser, site, projects, watcher, log)
        yield made
        for context in browser.contexts:
            problems = [problem for page in context.pages for problem in page.problems]
            context.close()
            assert problems == []


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
