"""The same transcripts shown by this and by agentsview: how soon, how quickly, at what cost."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import realistic
from benchmarks.bench import PATIENCE_SECONDS, Bench
from benchmarks.figures import Result, percentile
from benchmarks.machine import processor_seconds, resident
from benchmarks.page import free_port, idle
from benchmarks.server import Log
from benchmarks.watching import watching
from website import website

MISSING = "not measured: agentsview is not installed (pip install agentsview)"


@dataclass(frozen=True, slots=True)
class Viewer:
    """A program that shows sessions; `count` tells how many things an answer holds."""

    began: float
    ask: Callable[[str], Any]
    sessions: str
    search: str
    count: Callable[[Any], int]
    pids: tuple[int, ...]


def viewers(bench: Bench, result: Result) -> None:
    """In turns, each from nothing."""
    rival = shutil.which("agentsview")
    if rival is None:
        result.note(MISSING)
    with bench.place() as home:
        root = home / ".claude" / "projects"
        made = realistic.generate(root, bench.scale.viewed_bytes)
        result.details["transcripts"] = made.as_json()
        for _ in range(bench.rounds):
            with bench.place() as place, bench.server.log() as log, _ours(place, root, log) as ours:
                _view(bench, result, "this", ours, made.files)
            if rival is not None:
                with bench.place() as place, _agentsview(rival, home, place) as theirs:
                    _view(bench, result, "agentsview", theirs, made.files)


@contextmanager
def _ours(place: Path, root: Path, log: Log) -> Iterator[Viewer]:
    began = time.monotonic()
    with (
        website(place / "web", log.url, free_port()) as site,
        watching(place / "state", root, log) as watcher,
    ):
        yield Viewer(
            began, lambda path: site.get(path).json, "/api/sessions?limit=50",
            "/api/search?q=test+failed&limit=50",
            lambda answer: len(answer.get("sessions") or answer.get("search") or ()),
            (watcher.pid, site.process.pid),
        )  # fmt: skip


@contextmanager
def _agentsview(program: str, home: Path, place: Path) -> Iterator[Viewer]:
    port = free_port()
    began = time.monotonic()
    process = subprocess.Popen(
        [program, "serve", "--no-browser", "--no-update-check", "--port", str(port)],
        env={**os.environ, "HOME": str(home), "AGENTSVIEW_DATA_DIR": str(place)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def ask(path: str) -> Any:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
                return json.load(answer)
        except OSError:
            return {}

    def count(answer: Any) -> int:
        return len(answer.get("sessions") or answer.get("results") or ())

    try:
        yield Viewer(
            began, ask, "/api/v1/sessions?limit=50", "/api/v1/search?q=test%20failed&limit=50",
            count, (process.pid,),
        )  # fmt: skip
    finally:
        process.terminate()
        process.wait(30)


def _view(bench: Bench, result: Result, name: str, viewer: Viewer, files: int) -> None:
    questions = {"sessions": viewer.sessions, "search": viewer.search}
    for what, path in questions.items():
        _wait_for(viewer, path, 1, f"{name} shows no {what}")
        result.add(f"{name}, start to the first of {what}", time.monotonic() - viewer.began, "s")
    _wait_for(viewer, viewer.sessions, min(50, files), f"{name} does not show all sessions")
    _wait_until_idle(viewer)
    for what, path in questions.items():
        taken = []
        for _ in range(bench.scale.query_repeats):
            began = time.perf_counter()
            viewer.ask(path)
            taken.append(1e3 * (time.perf_counter() - began))
        result.add(f"{name}, {what}, p50", statistics.median(taken), "ms")
        result.add(f"{name}, {what}, p95", percentile(taken, 95), "ms")
    result.add(f"{name}, resident", sum(map(resident, viewer.pids)), "MB")
    for number, pid in enumerate(viewer.pids, 1):
        idle(bench, result, f"{name}, process {number} idle", pid)


def _wait_for(viewer: Viewer, path: str, least: int, told: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while viewer.count(viewer.ask(path)) < least:
        assert time.monotonic() < deadline, told
        time.sleep(0.02)


def _wait_until_idle(viewer: Viewer) -> None:
    """All that was there is read: its processes have used next to nothing for a second."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    used = -1.0
    while time.monotonic() < deadline:
        now = sum(processor_seconds(pid) or 0.0 for pid in viewer.pids)
        if now - used < 0.05:
            return
        used = now
        time.sleep(1.0)
