"""Figures of the supervision, taken with a real supervisord: python tests/benchmarks/supervision.py

Restarts by way of ending and uptime, hangs, start, memory, stop. About five minutes.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "acceptance"))

from supervised import Supervised, kill, supervised, wait_for

DEEDS = ("SIGKILL", "0", "1", "SIGSEGV")
TRIPPING_UPTIMES = (0.05, 1.0, 1.95, 2.1, 5.0, 8.0)
STEADY_UPTIMES = (13.0, 20.0)
STEADY_DEATHS = 8


@contextmanager
def running(**options: Any) -> Iterator[Supervised]:
    with (
        tempfile.TemporaryDirectory(prefix="headspace-") as directory,
        supervised(Path(directory) / "var", **options) as it,
    ):
        yield it


def pauses(it: Supervised) -> list[float]:
    return [start - end for end, start in zip(it.moments("end"), it.starts()[1:], strict=False)]


def most_in_a_minute(it: Supervised) -> int:
    restarts = it.starts()[1:]
    return max(sum(0 <= other - one < 60 for other in restarts) for one in restarts)


def row(name: str, it: Supervised) -> str:
    taken = pauses(it)
    shown = f"{min(taken):.2f} / {statistics.median(taken):.2f} / {max(taken):.2f}"
    return f"| {name} | {len(taken)} | {most_in_a_minute(it)} | {shown} | {it.state_of()} |"


def trip(deed: str, uptime: float) -> str:
    with running(plan=[(uptime, deed)] * 12) as it:
        it.wait_state("FATAL", seconds=120)
        return row(f"{deed}, after {uptime:g} s", it)


def steady(deed: str, uptime: float) -> str:
    with running(plan=[(uptime, deed)] * STEADY_DEATHS) as it:
        wait_for(lambda: len(it.starts()) == 1 + STEADY_DEATHS, "not restarted", 300)
        it.wait_state("RUNNING")
        return row(f"{deed}, every {uptime:g} s", it)


def table(rows: Sequence[str]) -> str:
    head = "| way of ending | restarts | most in 60 s | pause min / median / max, s | left |"
    return "\n".join((head, "|---|---|---|---|---|", *rows))


def hangs(count: int = 10) -> list[float]:
    taken = []
    with running(settings={"event_system": {"max_restarts_per_minute": 60}}) as it:
        it.wait_state("RUNNING", "guard")
        for _ in range(count):
            pid, before = it.wait_beating(), len(it.starts())
            time.sleep(1.5)
            frozen = time.monotonic()
            kill(pid, signal.SIGSTOP)
            wait_for(lambda known=before: len(it.starts()) > known, "not restarted")  # type: ignore[misc]
            taken.append(it.starts()[-1] - frozen)
    return taken


def first_work(*, guarded: bool) -> float:
    """Seconds from the launch of supervisord to the first line of the watcher's work."""
    with tempfile.TemporaryDirectory(prefix="headspace-") as directory:
        options: dict[str, Any] = {} if guarded else {"enforcer": False, "listener": ""}
        it = Supervised(Path(directory) / "var", **options)
        began = time.monotonic()
        process = subprocess.Popen(
            [Path(sys.executable).parent / "supervisord", "-c", it.conf],
            env=it.environment,
            stdout=subprocess.DEVNULL,
        )
        it.process = process
        try:
            wait_for(it.starts, "the watcher did not start")
            return it.starts()[0] - began
        finally:
            wait_for(it.answers, "no answer")
            it.close()


def unsupervised() -> float:
    with tempfile.TemporaryDirectory(prefix="headspace-") as directory:
        it = Supervised(Path(directory) / "var")
        began = time.monotonic()
        with subprocess.Popen([*it.watcher.split(), str(it.state)]) as process:
            wait_for(it.starts, "the watcher did not start")
            process.terminate()
        return it.starts()[0] - began


def resident_megabytes(pid: int) -> float:
    done = subprocess.run(
        ["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True
    )
    return int(done.stdout) * 1024 / 1e6


def memory_and_stop() -> str:
    with running() as it:
        it.wait_state("RUNNING", "guard")
        assert it.process is not None
        supervisord = resident_megabytes(it.process.pid)
        listener = resident_megabytes(it.pid_of("guard"))
        web = subprocess.Popen(
            [sys.executable, "-I", "-m", "claude_headspace.web"],
            env=it.environment | {"CLAUDE_HEADSPACE__WEB__PORT": "50559"},
            stderr=subprocess.DEVNULL,
        )
        time.sleep(2)
        web_megabytes = resident_megabytes(web.pid)
        web.terminate()
        web.wait()
        began = time.monotonic()
        it.ctl("stop", "watcher")
        stop = time.monotonic() - began
        began = time.monotonic()
        it.process.send_signal(signal.SIGTERM)
        it.process.wait(30)
        everything = time.monotonic() - began
    return (
        f"memory: supervisord {supervisord:.1f} MB, guard {listener:.1f} MB, web"
        f" {web_megabytes:.1f} MB\n"
        f"supervisorctl stop watcher {stop:.2f} s, supervisord by SIGTERM {everything:.2f} s"
    )


def main() -> None:
    with ThreadPoolExecutor(6) as pool:
        tripping = [pool.submit(trip, deed, each) for each in TRIPPING_UPTIMES for deed in DEEDS]
        lasting = [pool.submit(steady, deed, each) for each in STEADY_UPTIMES for deed in DEEDS[:1]]
        print(table([each.result() for each in tripping + lasting]))
    print("from a hang to the next start, s:", sorted(round(each, 2) for each in hangs()))
    for name, measure in (
        ("alone", unsupervised),
        ("under supervisord without the guard", lambda: first_work(guarded=False)),
        ("under supervisord with the guard", lambda: first_work(guarded=True)),
    ):
        print(f"first work {name}, s:", sorted(round(measure(), 2) for _ in range(5)))
    print(memory_and_stop())
    print(f"Python {sys.version.split()[0]}, {os.uname().sysname}, {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
