"""Rows about size: memory, idle processor time, the start, and the longest line."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import load
from benchmarks.bench import PATIENCE_SECONDS, Bench
from benchmarks.figures import Result
from benchmarks.machine import processor_seconds, resident, resident_peak
from benchmarks.server import Log
from benchmarks.watching import Watching, watching
from claude_headspace.config import DEFAULTS
from lines import assistant, raw, tool_result, user

FILES = 4
SMALL_LINE_BYTES = 400
LINES_A_SESSION = 3
A_DAY = 86_400.0
SOAK_LOOKS = 20
STARTS = 5
NO_PROC = "not measured: it needs Linux's /proc"
LONGEST_LINE = int(DEFAULTS["file_watcher"]["max_line_bytes"])


def memory(bench: Bench, result: Result) -> None:
    """Resident memory at the start, after a backlog, and with many sessions being written."""
    scale = bench.scale
    with bench.place() as place, bench.server.log() as log:
        projects = place / "projects"
        projects.mkdir()
        with watching(place / "state", projects, log) as watcher:
            result.add("ready, nothing read yet", resident(watcher.pid), "MB")
            total = load.write_backlog(
                load.make_sessions(projects, FILES), scale.memory_lines, scale.line_bytes
            )
            log.wait_for_bytes(total, PATIENCE_SECONDS)
            result.add(f"after {scale.memory_lines:,} events", resident(watcher.pid), "MB")
            sessions = load.make_sessions(projects, scale.open_sessions)
            total += load.write_one_each(sessions, scale.line_bytes)
            log.wait_for_bytes(total, PATIENCE_SECONDS)
            result.add(f"{scale.open_sessions:,} sessions open", resident(watcher.pid), "MB")
            _soak(bench, result, log, watcher, sessions, total)
            _add_peak(result, "the most it ever was", watcher)


def _soak(
    bench: Bench, result: Result, log: Log, watcher: Watching,
    sessions: list[load.Session], total: int,
) -> None:  # fmt: skip
    """Every session goes on speaking; whether memory stays where it is."""
    samples = []
    interval = bench.scale.soak_seconds / SOAK_LOOKS
    for _ in range(SOAK_LOOKS):
        due = time.monotonic() + interval
        total += load.write_one_each(sessions, bench.scale.line_bytes)
        log.wait_for_bytes(total, PATIENCE_SECONDS)
        time.sleep(max(0.0, due - time.monotonic()))
        samples.append(resident(watcher.pid))
    lines = SOAK_LOOKS * len(sessions)
    result.details["resident while they go on, MB"] = samples
    result.add(f"{lines:,} lines of theirs later", samples[-1], "MB")


def _add_peak(result: Result, name: str, watcher: Watching) -> None:
    peak = resident_peak(watcher.pid)
    if peak is None:
        result.note(f"{name}: {NO_PROC}")
    else:
        result.add(name, peak, "MB")


def idle(bench: Bench, result: Result) -> None:
    """Processor time while nobody writes."""
    scale = bench.scale
    with bench.place() as place, bench.server.log() as log:
        projects, state = place / "projects", place / "state"
        _capture_once(scale.open_sessions, projects, state, log)
        with watching(state, projects, log) as watcher:
            _add_idle(bench, result, "sessions of yesterday", watcher)
        sessions = load.make_sessions(place / "recent" / "projects", scale.open_sessions)
        with watching(state, place / "recent" / "projects", log) as watcher:
            total = int(log.value("SELECT sum(committed_offset) FROM checkpoints"))
            total += load.write_one_each(sessions, SMALL_LINE_BYTES)
            log.wait_for_bytes(total, PATIENCE_SECONDS)
            _add_idle(bench, result, "sessions written to just before", watcher)


def _capture_once(files: int, projects: Path, state: Path, log: Log) -> None:
    """So many old files, captured by an earlier run, and their sessions ended."""
    sessions = load.make_sessions(projects, files, A_DAY)
    total = load.write_backlog(sessions, files * LINES_A_SESSION, SMALL_LINE_BYTES)
    load.age(sessions)
    with watching(state, projects, log):
        log.wait_for_bytes(total, PATIENCE_SECONDS)
        ended = "SELECT count(*) FROM agents WHERE ended_at IS NOT NULL"
        log.wait_for(ended, files, "sessions ended", PATIENCE_SECONDS)


def _add_idle(bench: Bench, result: Result, name: str, watcher: Watching) -> None:
    name = f"{bench.scale.open_sessions:,} {name}"
    if processor_seconds(watcher.pid) is None:
        result.note(NO_PROC)
        return
    time.sleep(2)
    for _ in range(min(bench.rounds, 3)):
        before, started = processor_seconds(watcher.pid) or 0.0, time.monotonic()
        time.sleep(bench.scale.idle_seconds)
        used = (processor_seconds(watcher.pid) or 0.0) - before
        result.add(name, 100 * used / (time.monotonic() - started), "% of a core")


def start(bench: Bench, result: Result) -> None:
    """From the start of the process to knowing that there is nothing to read."""
    scale = bench.scale
    with bench.place() as place, bench.server.log() as log:
        projects, state = place / "projects", place / "state"
        projects.mkdir()
        _time_starts(bench, result, "nothing on the disk", projects, state, log)
        began = time.monotonic()
        _capture_once(scale.finished_files, projects, state, log)
        taken = time.monotonic() - began
        result.details["first capture of these files, and the ends of their sessions, s"] = taken
        name = f"{scale.finished_files:,} committed files"
        _time_starts(bench, result, name, projects, state, log)


def _time_starts(
    bench: Bench, result: Result, name: str, projects: Path, state: Path, log: Log
) -> None:
    bench.server.commit()
    for _ in range(max(bench.rounds, STARTS)):
        with watching(state, projects, log) as watcher:
            result.add(name, watcher.seconds_to_ready, "s")
            memory = resident(watcher.pid)
        assert " 0 files to read" in watcher.said(), watcher.said()
    result.add(f"{name}, resident", memory, "MB")


def longest_line(bench: Bench, result: Result) -> None:
    """How far one line of the longest allowed length lifts the watcher's memory."""
    for name, make in _LONG_LINES.items():
        with bench.place() as place, bench.server.log() as log:
            (session,) = load.make_sessions(place / "projects", 1)
            with watching(place / "state", place / "projects", log) as watcher:
                before = resident_peak(watcher.pid)
                if before is None:
                    result.note(NO_PROC)
                    return
                line = make(session.id)
                session.path.write_bytes(line)
                log.wait_for_bytes(len(line), PATIENCE_SECONDS)
                grown = (resident_peak(watcher.pid) or 0.0) - before
                result.add(f"{name} ({len(line) / 1e6:.1f} MB)", grown, "MB above ready")


def _filled(make: Callable[[str], bytes], unit: str, size: int) -> bytes:
    """A line of at most so many bytes, its newline not counted."""
    room = size - len(make(""))
    return make(unit * (room // len(json.dumps(unit, ensure_ascii=False).encode()[1:-1]))) + b"\n"


def _reply(unit: str, size: int = LONGEST_LINE) -> Callable[[str], bytes]:
    return lambda session: _filled(lambda text: raw(assistant(session, text)), unit, size)


def _result_of_tool(session: str) -> bytes:
    return _filled(lambda text: raw(user(session, [tool_result(text)])), "x", LONGEST_LINE)


def _damaged(session: str) -> bytes:
    return _reply("x", LONGEST_LINE // 2)(session)[:-20] + _reply("y", LONGEST_LINE // 2)(session)


_LONG_LINES: dict[str, Callable[[str], bytes]] = {
    "result of a tool, skipped over": _result_of_tool,
    "reply, plain letters": _reply("x"),
    "reply, letters beyond ASCII and escapes": _reply("→\n"),
    "a cut-off record with a whole one behind it": _damaged,
    "over the limit, rejected": _reply("x", 8 * LONGEST_LINE),
}
