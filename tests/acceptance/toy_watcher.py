"""Runs in place of the watcher: beats, writes its status, and ends as its plan says.

Arguments: the state directory. `plan.json` in it holds one `[seconds, deed]` for each start.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from claude_headspace.health.status_file import WatcherStatus, status_path, write_status
from claude_headspace.supervision.beats import BeatSender, beats_path
from claude_headspace.supervision.single_watcher import die_with_parent
from claude_headspace.watcher.liveness import Liveness

stopping = False


def main() -> int:
    state = Path(sys.argv[1])
    signal.signal(signal.SIGTERM, on_term)
    die_with_parent()
    lifetime, deed = next_step(state)
    began, started_at = time.monotonic(), time.time()
    note(state, "start")
    liveness = alive(deed)
    while not stopping and time.monotonic() - began < lifetime:
        liveness.beat()
        print("<!--XSUPERVISOR:BEGIN-->noise of others<!--XSUPERVISOR:END-->", flush=True)
        report(state, started_at)
        time.sleep(min(0.1, lifetime))
    if stopping:
        note(state, "stop")
        return 0
    note(state, "end")
    if deed == "doze":
        time.sleep(1e9)
    if deed.startswith("doing"):
        with liveness.doing("list /slow", float(deed.split()[1])):
            time.sleep(float(deed.split()[2]))
        note(state, "listed")
        time.sleep(1e9)
    return do(state, deed, started_at)


def alive(deed: str) -> Liveness:
    path = beats_path()
    liveness = Liveness(BeatSender(path) if path and deed != "mute" else None)
    liveness.start()
    return liveness


def on_term(_number: int, _frame: object) -> None:
    global stopping
    stopping = not Path(sys.argv[1], "stubborn").exists()


def next_step(state: Path) -> tuple[float, str]:
    path = state / "plan.json"
    plan: list[tuple[float, str]] = json.loads(path.read_text()) if path.exists() else []
    seconds, deed = plan.pop(0) if plan else (1e9, "live")
    replacement = state / "plan.new"
    replacement.write_text(json.dumps(plan))
    replacement.replace(path)
    return seconds, deed


def note(state: Path, what: str) -> None:
    with (state / "toy.log").open("a") as file:
        file.write(f"{what} {os.getpid()} {time.monotonic()}\n")


def report(directory: Path, started_at: float, **values: object) -> None:
    if (directory / "no-status").exists():
        return
    all_values: dict[str, Any] = {
        "pid": os.getpid(),
        "started_at": started_at,
        "beat_at": time.time(),
        "state": "capturing",
        **extra(directory),
        **values,
    }
    status = WatcherStatus(**all_values)
    write_status(status_path(directory), status)


def extra(state: Path) -> dict[str, object]:
    path = state / "extra.json"
    found: dict[str, object] = json.loads(path.read_text()) if path.exists() else {}
    return found


def do(state: Path, deed: str, started_at: float) -> int:
    if deed == "bad configuration":
        report(state, started_at, state="stopping", reason="web.port: must be less")
        return 78
    if deed == "hang":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif deed.startswith("SIG"):
        os.kill(os.getpid(), signal.Signals[deed])
    return int(deed) if deed.isdigit() else 0


if __name__ == "__main__":
    sys.exit(main())
