"""Rows about speed: backlogs, and the time from append to commit."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from pathlib import Path

from benchmarks import load, realistic
from benchmarks.bench import PATIENCE_SECONDS, Bench
from benchmarks.figures import Result, percentile
from benchmarks.machine import Used, resident
from benchmarks.rivals import SESSION, Variant, bench_inserts, rsyslog
from benchmarks.server import Log, NotReachedError
from benchmarks.versions import OURS, Version
from benchmarks.watching import Watching, watching

FILES = 4
FLOOR = "pgbench, one client, each commit synchronous"
FLOOR_ASYNCHRONOUS = "pgbench, one client, asynchronous commit"
RSYSLOG: dict[Variant, str] = {
    "line": "rsyslog, a transaction a line",
    "batch": "rsyslog, batches",
}
READ_BLOCK = 1024 * 1024


def backlog(bench: Bench, result: Result) -> None:
    """Turns that wait in a few files, each an event and a transaction of its own."""
    result.compare_with("events/s", FLOOR)
    _say_what_is_missing(bench, result)
    for _ in range(bench.rounds):
        _floor(bench, result)
        for variant in RSYSLOG:
            _rsyslog_backlog(bench, result, variant)
        _our_backlog(bench, result)


def _say_what_is_missing(bench: Bench, result: Result) -> None:
    if bench.rivals.pgbench is None:
        result.note("not measured: pgbench is not installed, so there is no floor")
    if bench.rivals.rsyslogd is None:
        result.note("not measured: rsyslogd with ompgsql is not installed")


def _floor(bench: Bench, result: Result) -> None:
    if bench.rivals.pgbench is None:
        return
    line = load.turn_line(SESSION, SESSION, 0, bench.scale.line_bytes)
    payload = load.payload_of(line)
    for name, durable in ((FLOOR, True), (FLOOR_ASYNCHRONOUS, False)):
        with bench.server.log() as log:
            rate = bench_inserts(
                bench.rivals.pgbench, log, payload,
                durable=durable, seconds=bench.scale.floor_seconds,
            )  # fmt: skip
        result.add(name, rate, "events/s")


def _rsyslog_backlog(bench: Bench, result: Result, variant: Variant) -> None:
    if bench.rivals.rsyslogd is None:
        return
    lines = bench.scale.backlog_lines
    with bench.place() as place, bench.server.log() as log:
        sessions = load.make_sessions(place / "projects", FILES)
        load.write_backlog(sessions, lines, bench.scale.line_bytes)
        started = time.time()
        with _rsyslog(bench, variant, place, log):
            log.wait_for_events(lines, PATIENCE_SECONDS)
        taken = log.last_commit() - started
        result.add(f"{RSYSLOG[variant]}, from its start", lines / taken, "events/s")
        result.details.setdefault("events per transaction", {}).setdefault(
            RSYSLOG[variant], []
        ).append(log.events_per_transaction())


def _rsyslog(bench: Bench, variant: Variant, place: Path, log: Log) -> AbstractContextManager[int]:
    assert bench.rivals.rsyslogd is not None
    files = str(place / "projects" / "*" / "*.jsonl")
    return rsyslog(bench.rivals.rsyslogd, variant, place / "rsyslog", files, log)


def _our_backlog(bench: Bench, result: Result) -> None:
    lines = bench.scale.backlog_lines
    with bench.place() as place, bench.server.log() as log:
        from_ready, from_start = run_backlog(bench, place, log, lines)
        result.add(f"{OURS}, from its first read", lines / from_ready, "events/s")
        result.add(f"{OURS}, from its start", lines / from_start, "events/s")
        result.details.setdefault("events per transaction", {}).setdefault(OURS, []).append(
            log.events_per_transaction()
        )


def run_backlog(bench: Bench, place: Path, log: Log, lines: int) -> tuple[float, float]:
    """Seconds to the last commit, from the watcher's first read and from its start."""
    before = int(log.value("SELECT count(*) FROM events WHERE event_type = 'turn_detected'"))
    sessions = load.make_sessions(place / "projects", FILES)
    size = load.write_backlog(sessions, lines, bench.scale.line_bytes)
    with watching(place / "state", place / "projects", log) as watcher:
        log.wait_for_bytes(size, PATIENCE_SECONDS)
        since = "SELECT extract(epoch FROM max(updated_at))::float8 FROM checkpoints"
        ended = float(log.value(since))
        counted = "SELECT count(*) FROM events WHERE event_type = 'turn_detected'"
        if (stored := int(log.value(counted)) - before) != lines:
            raise NotReachedError(f"{stored} turns of {lines} were stored")
        return ended - watcher.ready_at, ended - watcher.started_at


def transcripts(bench: Bench, result: Result) -> None:
    """Transcripts as they are: most bytes are no conversation."""
    reading = "reading the bytes and finding newlines, nothing else"
    result.compare_with("MB/s", reading)
    with bench.place() as files:
        root = files / "projects"
        made = realistic.generate(root, bench.scale.realistic_bytes)
        result.details["transcripts"] = made.as_json()
        for _ in range(bench.rounds):
            result.add(reading, made.bytes / 1e6 / _read_only(root), "MB/s")
            for version in bench.versions:
                with bench.place() as place, bench.server.log(version.template) as log:
                    _capture_tree(bench, version, place, root, log, made, result)


def _read_only(root: Path) -> float:
    started = time.perf_counter()
    lines = 0
    for path in root.rglob("*.jsonl"):
        with path.open("rb", buffering=0) as file:
            while block := file.read(READ_BLOCK):
                lines += block.count(b"\n")
    assert lines
    return time.perf_counter() - started


def _capture_tree(
    bench: Bench, version: Version, place: Path, root: Path, log: Log,
    made: realistic.Written, result: Result,
) -> None:  # fmt: skip
    name, megabytes = version.name, made.bytes / 1e6
    with watching(place / "state", root, log, version.source) as watcher:
        used = Used(watcher.pid, bench.server.pid)
        log.wait_for_bytes(made.bytes, PATIENCE_SECONDS)
        ended = float(
            log.value("SELECT extract(epoch FROM max(updated_at))::float8 FROM checkpoints")
        )
        taken = ended - watcher.ready_at
        result.add(f"{name}, from its first read", megabytes / taken, "MB/s")
        result.add(f"{name}, lines", made.lines / taken, "lines/s")
        result.add(f"{name}, turns", made.turns / taken, "events/s")
        result.add(f"{name}, resident at the end", resident(watcher.pid), "MB")
        for program, seconds in used.since().items():
            result.add(f"{name}, processor time of {program}", seconds / megabytes * 1e3, "s/GB")
        _check_turns(log, made)
        if log.value("SELECT to_regclass('archive_pieces') IS NOT NULL"):
            _archived(name, watcher, log, made, result)


def _check_turns(log: Log, made: realistic.Written) -> None:
    turns = int(log.value("SELECT count(*) FROM events WHERE event_type = 'turn_detected'"))
    if turns != made.turns:
        raise NotReachedError(f"{turns} turns of {made.turns} were stored")


def _archived(
    name: str, watcher: Watching, log: Log, made: realistic.Written, result: Result
) -> None:
    """The archive follows when capture is done."""
    archived = "SELECT sum(archived) FROM archive_generations"
    log.wait_for(archived, made.bytes, "bytes archived", PATIENCE_SECONDS)
    result.add(f"{name}, archived too", made.bytes / 1e6 / (time.time() - watcher.ready_at), "MB/s")
    result.add(f"{name}, resident when all is archived", resident(watcher.pid), "MB")
    size = "SELECT pg_total_relation_size('archive_pieces')"
    result.add("the archive, bytes of files on one of disk", made.bytes / log.value(size), ": 1")
    rows = "SELECT pg_total_relation_size('tool_calls') + pg_total_relation_size('model_calls')"
    result.add(
        "calls of tools and models, on the disk", log.value(rows) / made.bytes * 1e3, "MB/GB"
    )


def live(bench: Bench, result: Result) -> None:
    """From the clock before a line's write to its event's commit, at 100 lines a second."""
    _latency(bench, result, 100, bench.scale.live_seconds)


def burst(bench: Bench, result: Result) -> None:
    """The same at 1,000 lines a second."""
    _latency(bench, result, 1_000, bench.scale.burst_seconds)


def _latency(bench: Bench, result: Result, rate: int, seconds: int) -> None:
    for _ in range(bench.rounds):
        if bench.rivals.rsyslogd is not None:
            for variant, name in RSYSLOG.items():
                with (
                    bench.place() as place,
                    bench.server.log() as log,
                    _rsyslog(bench, variant, place, log) as pid,
                ):
                    append(bench, result, name, log, place, rate, seconds, pid)
        for version in bench.versions:
            with (
                bench.place() as place,
                bench.server.log(version.template) as log,
                watching(place / "state", place / "projects", log, version.source) as watcher,
            ):
                append(bench, result, version.name, log, place, rate, seconds, watcher.pid)


def append(
    bench: Bench, result: Result, name: str, log: Log, place: Path,
    rate: int, seconds: int, pid: int,
) -> None:  # fmt: skip
    """Lines at this rate, and how long each was on its way."""
    sessions = load.make_sessions(place / "projects", FILES)
    size, lines = bench.scale.line_bytes, rate * seconds
    # The first line of each session, which makes its rows, is not what is measured.
    load.write_backlog(sessions, FILES, size)
    log.wait_for_events(FILES, PATIENCE_SECONDS)
    sent = load.write_at_rate(sessions, lines, size, rate)
    log.wait_for_events(FILES + lines, PATIENCE_SECONDS)
    key = "payload->>'uuid'" if name in RSYSLOG.values() else "event_key::text"
    committed = log.commit_times(key)
    lost = [one for one in sent if one not in committed]
    taken = [(committed[one] - when) * 1000 for one, when in sent.items() if one in committed]
    for percent in (50, 95, 99, 100):
        shown = "longest" if percent == 100 else f"p{percent}"
        result.add(f"{name}, {shown}", percentile(taken, percent), "ms")
    result.add(f"{name}, lost", len(lost), "lines")
    result.add(f"{name}, resident", resident(pid), "MB")
