"""How soon a line that is appended is seen: by a stream, by search, on the page in a browser."""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import load
from benchmarks.bench import Bench
from benchmarks.figures import Result, percentile
from benchmarks.page import free_port
from benchmarks.server import NotReachedError
from benchmarks.watching import watching
from claude_headspace.web.access_token import new_link_code
from lines import assistant, instant, raw
from website import Website, website

FIRST_PAINT = "(performance.getEntriesByName('first-paint')[0] ?? {startTime: null}).startTime"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WAIT_SECONDS = 30.0
PAUSE_SECONDS = 0.5


def arrival(bench: Bench, result: Result) -> None:
    """One session speaks now and then; each word is looked for until it is there."""
    with bench.place() as place, bench.server.log() as log:
        root = place / "projects"
        (session,) = load.make_sessions(root, 1)
        say = _speaker(session)
        say()
        with (
            website(place / "state", log.url, free_port()) as site,
            watching(place / "state", root, log),
        ):
            log.wait_for_events(1, WAIT_SECONDS)
            _add(bench, result, "append to the stream", _by_stream(site, say))
            _add(bench, result, "append to found by search", _by_search(site, say))
            with _browser(result, site) as page:
                if page is not None:
                    _add(bench, result, "append to the page", _by_page(page, say))
                    _add(bench, result, "first paint of a page of events", _paint(page))


def _add(bench: Bench, result: Result, name: str, measure: Callable[[], float]) -> None:
    taken = []
    for _ in range(bench.scale.query_repeats):
        taken.append(measure())
        time.sleep(PAUSE_SECONDS)
    result.add(f"{name}, p50", percentile(taken, 50), "ms")
    result.add(f"{name}, p95", percentile(taken, 95), "ms")


def _speaker(session: load.Session) -> Callable[[], tuple[str, float]]:
    """Says a word of its own: the word, and the moment before it was written."""

    def say() -> tuple[str, float]:
        word = f"word{uuid.uuid4().hex[:12]}"
        said_at = instant(time.time(), load.EPOCH)
        line = raw(assistant(session.id, f"hear {word}", timestamp=said_at)) + b"\n"
        began = time.perf_counter()
        with session.path.open("ab", buffering=0) as file:
            file.write(line)
        return word, began

    return say


def _by_stream(site: Website, say: Callable[[], tuple[str, float]]) -> Callable[[], float]:
    # From the first event on: a stream "from now on" may begin after the first word.
    stream = site.stream("?after=0")

    def measure() -> float:
        word, began = say()
        while word not in str(stream.next()[1]["payload"].get("text")):
            if time.perf_counter() - began > WAIT_SECONDS:
                raise NotReachedError(f"{word} is not on the stream")
        return 1e3 * (time.perf_counter() - began)

    return measure


def _by_search(site: Website, say: Callable[[], tuple[str, float]]) -> Callable[[], float]:
    def measure() -> float:
        word, began = say()
        while not site.get(f"/api/search?q={word}").json["search"]:
            if time.perf_counter() - began > WAIT_SECONDS:
                raise NotReachedError(f"{word} is not found")
            time.sleep(0.02)
        return 1e3 * (time.perf_counter() - began)

    return measure


@contextmanager
def _browser(result: Result, site: Website) -> Iterator[Any]:
    """A page of events in the system's Chromium; None without one."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        result.note("not measured: playwright is not installed (pip install playwright)")
        yield None
        return
    if CHROMIUM is None:
        result.note("not measured: no Chromium (Debian: apt install chromium)")
        yield None
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(Path(CHROMIUM)), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{site.port}/open?code={new_link_code(site.state)}")
        page.wait_for_url(f"http://127.0.0.1:{site.port}/")
        page.goto(f"http://127.0.0.1:{site.port}/events")
        yield page
        browser.close()


def _by_page(page: Any, say: Callable[[], tuple[str, float]]) -> Callable[[], float]:
    def measure() -> float:
        word, began = say()
        page.get_by_text(word).first.wait_for(timeout=1e3 * WAIT_SECONDS)
        return 1e3 * (time.perf_counter() - began)

    return measure


def _paint(page: Any) -> Callable[[], float]:
    def measure() -> float:
        page.reload()
        # The page's Content-Security-Policy forbids what Playwright's wait_for_function does.
        deadline = time.perf_counter() + WAIT_SECONDS
        while (painted := page.evaluate(FIRST_PAINT)) is None:
            if time.perf_counter() > deadline:
                raise NotReachedError(f"no first paint after {WAIT_SECONDS} s")
        return float(painted)

    return measure
