"""Mixed load with random faults for minutes: PYTHONPATH=tests python -m faults.soak --minutes 10

Prints a row every ten seconds and the count at the end; the exit status is 1 when a turn or an
event of the inbox is lost, doubled, foreign or out of order, or the watcher grows beyond its limit.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import psycopg2

from claude_headspace.inbox import put
from faults.count import committed, count, rows
from faults.load import Feeder, Transcript, transcripts
from faults.machine import Machine, machine, query
from faults.soak_faults import Faults
from faults.soak_watcher import NAMED_HOST
from faults.watched import SOAK, Watched

ROW_SECONDS = 10.0
LIMIT_MEGABYTES = 50.0
HEAD = f"{'s':>6} {'written':>9} {'logged':>9} {'inbox':>7} {'starts':>6} {'MB':>6}  last fault"


@dataclass
class Load:
    """Several files that are written to, new ones now and then, and events in the inbox."""

    watcher: Watched
    rate: float
    random: random.Random
    files: list[Transcript] = field(default_factory=list)
    put: int = 0
    ended: bool = False

    def run_files(self) -> None:
        """Rounds of a second or two over four of the files."""
        while not self.ended:
            if len(self.files) < 4 or self.random.random() < 0.2:
                folder = self.watcher.projects / f"round-{len(self.files)}"
                folder.mkdir()
                self.files += transcripts(folder, 4)
            chosen = self.random.sample(self.files, 4)
            feeder = Feeder(
                chosen, self.rate, 1.0 + self.random.random(), self.random.getrandbits(32)
            )
            feeder.start()
            feeder.join()

    def run_inbox(self) -> None:
        while not self.ended:
            put(self.watcher.inbox, "hook_received", hook(self.put))
            self.put += 1
            time.sleep(self.random.expovariate(10))


def hook(number: int) -> dict[str, str]:
    return {
        "hook_type": "PostToolUse",
        "claude_session_id": "soak",
        "working_directory": "/",
        "tool_name": str(number),
    }


class Table:
    """Tells every ten seconds how it goes."""

    def __init__(self, load: Load, faults: Faults) -> None:
        self._load = load
        self._faults = faults
        self._begun = time.monotonic()
        self._next = 0.0
        self.peak = 0.0
        print(HEAD, flush=True)

    def row(self, *, now: bool = False) -> None:
        with contextlib.suppress(OSError, StopIteration):
            self.peak = max(self.peak, self._load.watcher.peak_megabytes())
        seconds = time.monotonic() - self._begun
        if seconds < self._next and not now:
            return
        self._next = seconds + ROW_SECONDS
        written = sum(len(each.turns) for each in self._load.files)
        logged = rows(self._load.watcher.url)
        print(
            f"{seconds:6.0f} {written:9} {logged:9} {self._load.put:7}"
            f" {self._load.watcher.starts:6} {self.peak:6.1f}  {self._faults.last}",
            flush=True,
        )


def inbox_is_exact(url: str, wanted: int, seconds: float = 60.0) -> bool:
    """Whether the inbox's events are all there, each once and in order."""
    deadline = time.monotonic() + seconds
    while True:
        found = [
            row[0]
            for row in query(
                url,
                "SELECT (payload->>'tool_name')::int FROM events"
                " WHERE event_type = 'hook_received' ORDER BY id",
            )
        ]
        if found == list(range(wanted)):
            return True
        if time.monotonic() > deadline:
            print(f"inbox: {len(found)} rows of {wanted}")
            return False
        time.sleep(0.1)


def soak(server: Machine, directory: Path, url: str, *, seconds: float, seed: int) -> bool:
    """Whether it was exact to the end."""
    rnd = random.Random(seed)
    watcher = Watched(
        directory,
        url,
        command=[*SOAK, str(directory)],
        settings={"database": {"url": url.replace("?host=", f"?host={NAMED_HOST},")}},
    )
    load = Load(watcher, 100.0, random.Random(rnd.random()))
    faults = Faults(server, watcher, rnd)
    faults.prepare()
    watcher.start()
    watcher.wait_state("capturing")
    threads = [threading.Thread(target=run) for run in (load.run_files, load.run_inbox)]
    table = Table(load, faults)
    for thread in threads:
        thread.start()
    try:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            pause = time.monotonic() + min(rnd.uniform(1, 12), seconds / 4)
            while time.monotonic() < min(pause, end):
                table.row()
                time.sleep(0.2)
            faults.strike()
            if not watcher.alive():
                print("the watcher ended by itself:", watcher.log[-1000:])
                return False
    finally:
        load.ended = True
        for thread in threads:
            thread.join()
    result = committed(url, load.files)
    exact = inbox_is_exact(url, load.put)
    table.row(now=True)
    watcher.kill()
    print(count(url, load.files), "inbox exact" if exact else "INBOX WRONG")
    small = table.peak < LIMIT_MEGABYTES
    print(f"most memory: {table.peak:.1f} MB", "" if small else "TOO MUCH")
    print(f"strikes: {dict(faults.struck)}; never struck: {faults.unstruck or 'none'}")
    print("\n".join(faults.overdue) or "nothing was overdue")
    return result.clean and exact and small and not faults.overdue


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32)
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}")
    with (
        tempfile.TemporaryDirectory() as directory,
        machine() as server,
        server.database() as url,
    ):
        seconds = arguments.minutes * 60
        exact = soak(server, Path(directory), url, seconds=seconds, seed=arguments.seed)
    return 0 if exact else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except psycopg2.Error as error:
        sys.exit(f"the server went wrong: {error}")
