"""What is done to the watcher of the soak test, to its server, its files and its inbox."""

from __future__ import annotations

import os
import random
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from faults.machine import Machine, wait_for
from faults.soak_watcher import SILENT_RESOLVER, SLOW_DISK
from faults.watched import Watched

YEARS = [10_413_792_000, -2_000_000_000]
IDLE_FILES = 200


@dataclass
class Faults:
    """What is done to the watcher and to its server, one thing at a time."""

    server: Machine
    watcher: Watched
    random: random.Random
    last: str = ""
    struck: Counter[str] = field(default_factory=Counter)
    overdue: list[str] = field(default_factory=list)

    def prepare(self) -> None:
        """Files that nobody writes to, so that looking takes time where the disk is slow."""
        idle = self.watcher.projects / "idle"
        idle.mkdir()
        for number in range(IDLE_FILES):
            (idle / f"{number}.jsonl").touch()

    def strike(self) -> None:
        """The fault that struck least often until now, or any other one."""
        if self.random.random() < 0.5:
            fault = self.random.choice(FAULTS)
        else:
            fault = min(FAULTS, key=lambda each: self.struck[each.__name__])
        self.last = fault.__name__
        self.struck[self.last] += 1
        fault(self)

    @property
    def unstruck(self) -> list[str]:
        return [each.__name__ for each in FAULTS if not self.struck[each.__name__]]

    def kill(self) -> None:
        self.watcher.restart()

    def terminate(self) -> None:
        assert self.watcher.stop() == 0
        self.watcher.start()

    def stand_still(self) -> None:
        self.watcher.signal(signal.SIGSTOP)
        time.sleep(self.random.uniform(0.5, 5))
        self.watcher.signal(signal.SIGCONT)

    def crash(self) -> None:
        self.server.crash()
        time.sleep(self.random.uniform(0, 2))
        self.server.start()

    def stop_server(self) -> None:
        self.server.stop()
        time.sleep(self.random.uniform(0, 5))
        self.server.start()

    def freeze(self) -> None:
        self.server.freeze()
        time.sleep(self.random.uniform(0.5, 5))
        self.server.thaw()

    def end_connections(self) -> None:
        for _ in range(10):
            self.server.terminate()
            time.sleep(0.2)

    def starve(self) -> None:
        """No bytes can be written to files, and none can be opened."""
        size = self.watcher.limit(resource.RLIMIT_FSIZE, 0)
        number = self.watcher.limit(resource.RLIMIT_NOFILE, self.watcher.descriptors())
        time.sleep(self.random.uniform(0.5, 5))
        self.watcher.limit(resource.RLIMIT_FSIZE, size[0])
        self.watcher.limit(resource.RLIMIT_NOFILE, number[0])

    def slow_disk(self) -> None:
        with self._flag(SLOW_DISK):
            self._endure(self.random.uniform(2, 8))

    def silent_resolver(self) -> None:
        with self._flag(SILENT_RESOLVER):
            self.server.terminate()
            self._endure(self.random.uniform(2, 12))

    def kill_while_the_resolver_is_silent(self) -> None:
        with self._flag(SILENT_RESOLVER):
            self.watcher.restart()
            self._endure(self.random.uniform(2, 12))

    def odd_dates(self) -> None:
        """The clock jumps far and back, as files tell it."""
        for path in self._written():
            os.utime(path, (self.random.choice(YEARS),) * 2)
        self._endure(1)

    def refuse_to_move(self) -> None:
        """What was taken in cannot be moved away."""
        done = self.watcher.inbox / "done"
        away = done.rename(done.with_name("done.away"))
        done.touch()
        self._endure(self.random.uniform(1, 5))
        done.unlink()
        away.rename(done)

    def unreadable(self) -> None:
        """A file that cannot be opened, and a folder that is not there."""
        folder = self._written()[0].parent
        links = [folder / "unreadable.jsonl", self.watcher.projects / "dangling"]
        for link in links:
            link.symlink_to(link.name)
        wait_for(lambda: self._is_told(links[0]), "what cannot be read is not told", 60)
        for link in links:
            link.unlink()

    def _is_told(self, path: Path) -> bool:
        status = self.watcher.status()
        return status is not None and str(path) in (status.trouble or "")

    def _written(self) -> list[Path]:
        return [path for path in self.watcher.projects.rglob("*.jsonl") if path.stat().st_size]

    @contextmanager
    def _flag(self, name: str) -> Iterator[None]:
        flag = self.watcher.directory / name
        flag.touch()
        try:
            yield
        finally:
            flag.unlink()

    def _endure(self, seconds: float) -> None:
        """Wait; what the watcher announces is to be done in its time meanwhile."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            status = self.watcher.status()
            if status is not None and status.doing_seconds > status.doing_limit:
                told = f"{status.doing} for {status.doing_seconds:.1f} s of {status.doing_limit:g}"
                self.overdue.append(f"{self.last}: {told}")
            time.sleep(0.1)


FAULTS: list[Callable[[Faults], None]] = [
    Faults.kill,
    Faults.terminate,
    Faults.stand_still,
    Faults.crash,
    Faults.stop_server,
    Faults.freeze,
    Faults.end_connections,
    Faults.slow_disk,
    Faults.silent_resolver,
    Faults.kill_while_the_resolver_is_silent,
    Faults.odd_dates,
    Faults.refuse_to_move,
    Faults.unreadable,
]
if sys.platform == "linux":
    FAULTS.append(Faults.starve)
