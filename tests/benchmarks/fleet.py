"""Rows about many machines on one server, and about a server that is far away."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks import load
from benchmarks.bench import PATIENCE_SECONDS, Bench
from benchmarks.figures import Result, percentile
from benchmarks.machine import memory_of, resident
from benchmarks.page import free_port
from benchmarks.server import Log, durable_server
from benchmarks.watching import Watching, run
from distance import far_away
from servers import embedded_environment, temporary_state
from website import website

# Enough for a hundred machines, and whoever looks.
ROOM = "max_connections = 300\n"
RATE = 100
QUESTIONS = 32
STREAMS = 4
ROUND_TRIPS = (0, 10, 50, 150)
SESSIONS = 4
_CONNECTIONS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
)


def fleet(bench: Bench, result: Result) -> None:
    """All write at once; then they speak in turns, at the same rate together however many."""
    with temporary_state() as state, durable_server(state, ROOM) as server:
        for count in bench.scale.watchers:
            for _ in range(bench.rounds):
                with bench.place() as place, server.log() as log, ExitStack() as stack:
                    name = f"{count} watchers" if count > 1 else "1 watcher"
                    homes = [place / f"machine{number}" for number in range(count)]
                    sessions = [load.make_sessions(home / "projects", 1)[0] for home in homes]
                    started = [_started(stack, home, log) for home in homes]
                    for watcher in started:
                        watcher.wait_ready()
                    _begin(bench, log, sessions)
                    _all_at_once(bench, result, name, log, sessions)
                    _in_turns(bench, result, name, log, sessions)
                    result.add(f"{name}, connections", log.value(_CONNECTIONS), "")
                    sizes = [resident(watcher.pid) for watcher in started]
                    result.add(f"{name}, resident, each", statistics.mean(sizes), "MB")
                    result.add(f"{name}, Postgres", memory_of(server.pid), "MB (PSS)")
        with bench.place() as place, server.log() as log:
            _with_a_page(place, result, log)


def _started(stack: ExitStack, home: Path, log: Log) -> Watching:
    watcher = Watching(home / "state", home / "projects", log)
    stack.callback(watcher.close)
    return watcher


def _all_at_once(
    bench: Bench, result: Result, name: str, log: Log, sessions: Sequence[load.Session]
) -> None:
    """A backlog for each, so that all of them work at the same time."""
    lines = max(len(sessions), bench.scale.backlog_lines)
    taken = _write_and_wait(bench, log, sessions, lines)
    result.add(f"{name}, a backlog of each", lines / taken, "events/s")


def _write_and_wait(bench: Bench, log: Log, sessions: Sequence[load.Session], lines: int) -> float:
    before = int(log.value("SELECT count(*) FROM events WHERE event_type = 'turn_detected'"))
    share = lines // len(sessions)
    blocks = [b"".join(s.line(bench.scale.line_bytes)[1] for _ in range(share)) for s in sessions]
    began = time.time()
    for session, block in zip(sessions, blocks, strict=True):
        with session.path.open("ab", buffering=0) as file:
            file.write(block)
    log.wait_for_events(before + share * len(sessions), PATIENCE_SECONDS)
    return log.last_commit() - began


def _in_turns(
    bench: Bench, result: Result, name: str, log: Log, sessions: Sequence[load.Session]
) -> None:
    sent = _speak(bench, log, sessions)
    _latency(result, f"{name}, append to commit", sent, log)


def _speak(bench: Bench, log: Log, sessions: Sequence[load.Session]) -> dict[str, float]:
    before = int(log.value("SELECT count(*) FROM events WHERE event_type = 'turn_detected'"))
    lines = RATE * bench.scale.live_seconds
    sent = load.write_at_rate(sessions, lines, bench.scale.line_bytes, RATE)
    log.wait_for_events(before + lines, PATIENCE_SECONDS)
    return sent


def _latency(result: Result, name: str, sent: dict[str, float], log: Log) -> None:
    committed = log.commit_times()
    taken = [1000 * (committed[key] - when) for key, when in sent.items()]
    for percent in (50, 95):
        result.add(f"{name}, p{percent}", percentile(taken, percent), "ms")


def _with_a_page(place: Path, result: Result, log: Log) -> None:
    """The most connections that one machine's web application opens."""
    with website(place / "web", log.url, free_port()) as site:
        streams = [site.stream() for _ in range(STREAMS)]
        for stream in streams:
            stream.block()
        most = 0
        with ThreadPoolExecutor(QUESTIONS) as pool:
            asked = [pool.submit(site.get, "/api/events") for _ in range(10 * QUESTIONS)]
            while not all(each.done() for each in asked):
                most = max(most, int(log.value(_CONNECTIONS)))
    result.add(f"page, {QUESTIONS} questions and {STREAMS} streams, connections", most, "")


def distance(bench: Bench, result: Result) -> None:
    """A watcher whose server is far away; and one with a log of its own that is forwarded."""
    for milliseconds in ROUND_TRIPS:
        for _ in range(bench.rounds):
            _straight(bench, result, milliseconds)
            _forwarded(bench, result, milliseconds)


def _straight(bench: Bench, result: Result, milliseconds: int) -> None:
    name = f"{milliseconds} ms, straight"
    with bench.place() as place, bench.server.log() as log, ExitStack() as stack:
        sessions = load.make_sessions(place / "projects", SESSIONS)
        far = stack.enter_context(far_away(log.url, milliseconds / 1000))
        _started(stack, place, Log(far)).wait_ready()
        _begin(bench, log, sessions)
        _in_turns(bench, result, name, log, sessions)
        taken = _write_and_wait(bench, log, sessions, bench.scale.backlog_lines)
        result.add(f"{name}, a backlog", bench.scale.backlog_lines / taken, "events/s")


def _forwarded(bench: Bench, result: Result, milliseconds: int) -> None:
    name, lines = f"{milliseconds} ms, forwarded", bench.scale.backlog_lines
    with (
        bench.place() as place,
        bench.server.log() as near,
        bench.server.log() as central,
        far_away(central.url, milliseconds / 1000) as far,
        ExitStack() as stack,
    ):
        sessions = load.make_sessions(place / "projects", SESSIONS)
        _started(stack, place, near).wait_ready()
        stack.enter_context(_forwarder(place / "state", near, far))
        _begin(bench, near, sessions)
        central.wait_for_events(SESSIONS, PATIENCE_SECONDS)
        sent = _speak(bench, near, sessions)
        central.wait_for_events(SESSIONS + len(sent), PATIENCE_SECONDS)
        _latency(result, f"{name}, append to commit", sent, near)
        _latency(result, f"{name}, append to the centre", sent, central)
        began = time.time()
        taken = _write_and_wait(bench, near, sessions, lines)
        result.add(f"{name}, a backlog", lines / taken, "events/s")
        central.wait_for_events(SESSIONS + len(sent) + lines, PATIENCE_SECONDS)
        rate = lines / (central.last_commit() - began)
        result.add(f"{name}, a backlog to the centre", rate, "events/s")


def _begin(bench: Bench, log: Log, sessions: Sequence[load.Session]) -> None:
    """The first line of each session, which makes its rows, is not what is measured."""
    load.write_backlog(sessions, len(sessions), bench.scale.line_bytes)
    log.wait_for_events(len(sessions), PATIENCE_SECONDS)


@contextmanager
def _forwarder(state: Path, near: Log, far: str) -> Iterator[None]:
    environment = embedded_environment(state) | {
        "DATABASE_URL": near.url,
        "CLAUDE_HEADSPACE__FORWARD__URL": far,
    }
    process = subprocess.Popen(
        run("claude_headspace.forwarding", None), env=environment, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()
