"""Rows about the page: what its answers take in a large log, and what it costs the watcher."""

from __future__ import annotations

import socket
import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from benchmarks import realistic
from benchmarks.bench import PATIENCE_SECONDS, Bench
from benchmarks.capturing import append, run_backlog
from benchmarks.figures import Result, percentile
from benchmarks.machine import processor_seconds, resident
from benchmarks.server import Log
from benchmarks.versions import OURS
from benchmarks.watching import watching
from website import Website, website

BASE_BYTES = 10_000_000
LONG_SESSION = 2_000
PAGES = 10
_FILL = Path(__file__).parent / "page_log.sql"
_TURNS = "SELECT count(*) FROM events WHERE event_type = 'turn_detected'"


def page(bench: Bench, result: Result) -> None:
    """Each view and list many times, over a log of so many turns and bytes of archive."""
    with bench.place() as place, bench.server.log() as log:
        session = _fill(bench, result, place, log)
        with website(place / "web", log.url, free_port()) as site:
            for name, path in _paths(session).items():
                _ask(bench, result, site, name, path)
            result.add("resident after that", resident(site.process.pid), "MB")
            idle(bench, result, "idle", site.process.pid)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _fill(bench: Bench, result: Result, place: Path, log: Log) -> str:
    """The log; its longest session."""
    began = time.monotonic()
    made = realistic.generate(place / "projects", min(BASE_BYTES, bench.scale.page_bytes))
    with watching(place / "state", place / "projects", log):
        log.wait_for_bytes(made.bytes, PATIENCE_SECONDS)
        archived = "SELECT sum(archived) FROM archive_generations"
        log.wait_for(archived, made.bytes, "bytes archived", PATIENCE_SECONDS)
    longest = f"SELECT max(n) FROM ({_TURNS} GROUP BY agent_id) t (n)"
    values = {
        ":copies": max(1, bench.scale.page_turns // made.turns),
        ":archived": max(1, bench.scale.page_bytes // made.bytes),
        ":long": LONG_SESSION // int(log.value(longest)) + 1,
    }
    statements = _FILL.read_text("utf-8")
    for name, value in values.items():
        statements = statements.replace(name, str(value))
    log.rows(statements)
    log.rows("VACUUM (ANALYZE)")
    result.details["filled in, s"] = time.monotonic() - began
    result.details["turns"] = log.value(_TURNS)
    result.details["bytes of archive"] = int(log.value(archived))
    return str(
        log.value(
            "SELECT session_uuid::text FROM events WHERE event_type = 'turn_detected'"
            " GROUP BY 1 ORDER BY count(*) DESC LIMIT 1"
        )
    )


def _paths(session: str) -> dict[str, str]:
    return {
        "now": "/",
        "a page of sessions": "/sessions",
        "a page of events": "/events",
        f"a session of {LONG_SESSION:,} turns": f"/sessions/{session}",
        "a day of activity": "/activity",
        "words that are common": "/search?q=return+value",
        "a word in one of 256 turns": "/search?q=some17",
        "a word in one of 65,536 turns": "/search?q=rare777",
        "a word that is nowhere": "/search?q=nowhere",
        "API, sessions": "/api/sessions",
        "API, tools": "/api/tools",
        "plain text that is nowhere, first answer": "/search?q=zzznowhere&match=plain",
        "tool outputs, first answer": "/search?q=zzznowhere&in=outputs",
    }


def _ask(bench: Bench, result: Result, site: Website, name: str, path: str) -> None:
    taken = []
    for _ in range(bench.scale.query_repeats + 1):
        began = time.perf_counter()
        _load(site, path)
        taken.append(1e3 * (time.perf_counter() - began))
    result.add(f"{name}, first time", taken[0], "ms")
    result.add(f"{name}, p50", statistics.median(taken[1:]), "ms")
    result.add(f"{name}, p95", percentile(taken[1:], 95), "ms")


def idle(bench: Bench, result: Result, name: str, pid: int) -> None:
    """Processor time of a process that has nothing to do."""
    before = processor_seconds(pid)
    time.sleep(bench.scale.idle_seconds)
    after = processor_seconds(pid)
    if before is not None and after is not None:
        result.add(f"{name}, processor", 100 * (after - before) / bench.scale.idle_seconds, "%")


def watched(bench: Bench, result: Result) -> None:
    """The watcher alone, with the web application, and with ten pages and a search a second."""
    alone = f"{OURS} alone"
    for unit in ("ms", "events/s"):
        result.compare_with(unit, alone)
    lines = 3 * bench.scale.backlog_lines  # rates of a few seconds differ too much
    for _ in range(bench.rounds):
        for name, pages in ((alone, None), ("with the index kept", 0), (f"{PAGES} pages", PAGES)):
            with bench.place() as place, bench.server.log() as log, _beside(place, log, pages):
                seconds, _ = run_backlog(bench, place, log, lines)
                result.add(name, lines / seconds, "events/s")
            with (
                bench.place() as place,
                bench.server.log() as log,
                _beside(place, log, pages),
                watching(place / "state", place / "projects", log) as watcher,
            ):
                append(bench, result, name, log, place, 100, bench.scale.live_seconds, watcher.pid)


@contextmanager
def _beside(place: Path, log: Log, pages: int | None) -> Iterator[None]:
    """The web application, so many of its pages open, and with any a search a second."""
    if pages is None:
        yield
        return
    with (
        website(place / "state", log.url, free_port()) as site,
        ThreadPoolExecutor(pages + 1) as threads,
    ):
        done = threading.Event()
        busy = [threads.submit(_read_on, site, done) for _ in range(pages)]
        if pages:
            busy.append(threads.submit(_search, site, done))
        try:
            yield
        finally:
            done.set()
        for each in busy:
            each.result()


def _read_on(site: Website, done: threading.Event) -> None:
    """What the script of a page asks for: its stream, a pulse, the strip, and the page again."""
    stream = site.stream("?only=ids")
    due, known = dict.fromkeys(("pulse", "strip", "page"), 0.0), b""
    changed = busy = False
    while not done.wait(0.05):
        changed |= stream.drain() > 0
        now = time.monotonic()
        if now > due["pulse"] + (5.0 if busy else 1.0):
            pulse = site.get("/status/pulse").body
            due["pulse"], changed, known = now, changed or pulse != known, pulse
        if now > due["strip"] + (6.0 if busy else 3.0):
            due["strip"] = now
            _load(site, "/status/strip", X_Part="1")
        if changed and now > due["page"] + (5.0 if busy else 0.4):
            due["page"], changed = now, False
            busy = b" data-busy" in _load(site, "/", X_Live="1")


def _search(site: Website, done: threading.Event) -> None:
    while not done.wait(1.0):
        _load(site, "/search?q=counted+before")


def _load(site: Website, path: str, **headers: str) -> bytes:
    answer = site.get(path, Accept="text/html", **headers)
    assert answer.status == 200, (path, answer.body[:500])
    return answer.body
