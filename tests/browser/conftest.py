"""A browser before the page, with a real watcher and a real log behind it."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from claude_headspace.access import new_link_code
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
