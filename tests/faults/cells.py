"""The fault matrix: each fault under each load, counted exactly."""

from __future__ import annotations

import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from faults.count import Count, committed, rows
from faults.load import Feeder, Transcript, backlog, transcripts
from faults.machine import Machine, namespaces_work, wait_for
from faults.watched import CLOCK, WATCHER, Watched

FILES = 4
FAULTS: dict[str, Callable[[Cell], None]] = {}
# Limits of one user namespace, set by its own root before it becomes the watcher.
_LIMITED = 'echo "$1" > "/proc/sys/user/$2"; shift 2; exec "$@"'


@dataclass(frozen=True)
class Scale:
    """How much and how long: turns of the backlog, seconds of live load, seconds of an outage,
    seconds for which the watcher is stopped, and how often what is quick is repeated."""

    backlog: int = 20_000
    live: float = 8.0
    rate: float = 300.0
    outage: float = 3.0
    frozen: float = 10.0
    times: int = 5


WHOLE = Scale()
QUICK = Scale(backlog=2_000, live=1.5, outage=0.5, frozen=1.0, times=2)


@dataclass
class Cell:
    """One fault under one load, while it runs."""

    server: Machine
    watcher: Watched
    scale: Scale
    live: bool
    files: list[Transcript] = field(default_factory=list)
    feeder: Feeder | None = None
    # Rows in the log at each moment at which a fault struck.
    struck_at: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.files = transcripts(self.watcher.projects, FILES)

    def begin(self) -> None:
        """Start the watcher and the load."""
        if not self.live:
            backlog(self.files, self.scale.backlog)
        self.watcher.start()
        if self.live:
            self.watcher.wait_state("capturing")
            longer = self.scale.frozen if self.scale is WHOLE else 0
            self.feeder = Feeder(self.files, self.scale.rate, self.scale.live + longer)
            self.feeder.start()

    def moments(self, times: int) -> Iterator[None]:
        """Comes back so many times, evenly spread over the load."""
        for number in range(times):
            share = (number + 0.5) / times
            if self.live:
                time.sleep(self.scale.live / times)
            else:
                wanted = int(self.scale.backlog * share)
                wait_for(lambda: rows(self.watcher.url) >= wanted, f"{wanted} rows", 90)  # noqa: B023
            self.struck_at.append(rows(self.watcher.url))
            yield

    def end(self) -> Count:
        """The count after everything was written and had time to arrive."""
        if self.feeder is not None:
            self.feeder.join()
        result = committed(self.watcher.url, self.files)
        assert self.watcher.alive(), "the watcher ended:\n" + self.watcher.log[-2000:]
        assert self.live or not self.struck_at or self.struck_at[0] < self.scale.backlog
        return result


def fault(function: Callable[[Cell], None]) -> Callable[[Cell], None]:
    FAULTS[function.__name__] = function
    return function


@fault
def killed(cell: Cell) -> None:
    """SIGKILL, several times."""
    for _ in cell.moments(cell.scale.times):
        cell.watcher.restart()


@fault
def terminated(cell: Cell) -> None:
    """SIGTERM, several times; each time it ends orderly and within its time."""
    for _ in cell.moments(cell.scale.times):
        cell.watcher.wait_state("capturing")
        assert cell.watcher.stop() == 0
        cell.watcher.start()


@fault
def stopped(cell: Cell) -> None:
    """SIGSTOP for seconds."""
    for _ in cell.moments(1):
        cell.watcher.signal(signal.SIGSTOP)
        time.sleep(cell.scale.frozen)
        cell.watcher.signal(signal.SIGCONT)


@fault
def server_stopped(cell: Cell) -> None:
    """Postgres stopped fast, back after a while."""
    for _ in cell.moments(2):
        cell.server.stop()
        time.sleep(cell.scale.outage)
        cell.server.start()


@fault
def server_crashed(cell: Cell) -> None:
    """Postgres stopped as in a crash and started at once, several times."""
    for _ in cell.moments(cell.scale.times):
        cell.server.crash()
        cell.server.start()


@fault
def server_crashed_and_watcher_killed(cell: Cell) -> None:
    """Both at once, and Postgres back only after the watcher."""
    for _ in cell.moments(2):
        cell.server.crash()
        cell.watcher.restart()
        time.sleep(cell.scale.outage)
        cell.server.start()


@fault
def server_frozen(cell: Cell) -> None:
    """Every process of the server stands still."""
    for _ in cell.moments(1):
        cell.server.freeze()
        time.sleep(cell.scale.outage)
        cell.server.thaw()


@fault
def connections_terminated(cell: Cell) -> None:
    """pg_terminate_backend every 200 ms."""
    ended = 0
    deadline = time.monotonic() + max(cell.scale.live, 3.0)
    while time.monotonic() < deadline:
        ended += cell.server.terminate()
        time.sleep(0.2)
    assert ended > 3, f"only {ended} connections were there to terminate"


@fault
def database_full(cell: Cell) -> None:
    """No space left where the database is."""
    for _ in cell.moments(1):
        cell.server.fill()
        cell.watcher.wait_state("waiting")
        time.sleep(cell.scale.outage)
        cell.server.make_room()


@fault
def state_full(cell: Cell) -> None:
    """Nothing can be written under var/; every write of a byte to a file fails."""
    for _ in cell.moments(1):
        cell.watcher.wait_state("capturing")
        before = cell.watcher.limit(resource.RLIMIT_FSIZE, 0)
        time.sleep(cell.scale.outage)
        cell.watcher.limit(resource.RLIMIT_FSIZE, before[0])


@fault
def state_full_at_start(cell: Cell) -> None:
    """Killed, and started again while nothing can be written under var/."""
    for _ in cell.moments(1):
        cell.watcher.wait_state("capturing")
        cell.watcher.kill()
        cell.watcher.command = ("prlimit", "--fsize=0:", *WATCHER)
        cell.watcher.start()
        time.sleep(cell.scale.outage)


@fault
def no_descriptors(cell: Cell) -> None:
    """Not one more file can be opened, the connection is lost, and there are new transcripts."""
    for _ in cell.moments(1):
        cell.watcher.wait_state("capturing")
        before = cell.watcher.limit(resource.RLIMIT_NOFILE, cell.watcher.descriptors())
        new = transcripts(cell.watcher.projects, 3)
        backlog(new, 300)
        cell.files += new
        cell.server.terminate()
        time.sleep(cell.scale.outage)
        cell.watcher.limit(resource.RLIMIT_NOFILE, before[0])


@fault
def no_inotify(cell: Cell) -> None:
    """No inotify instance is to be had."""
    for _ in cell.moments(1):
        cell.watcher.wait_state("capturing")
        status = cell.watcher.status()
        assert status is not None
        assert not status.notifications


@fault
def few_watches(cell: Cell) -> None:
    """The limit of watched directories is reached by directories that are made meanwhile."""
    for _ in cell.moments(1):
        cell.watcher.wait_state("capturing")
        for number in range(8):
            folder = cell.watcher.projects / f"-more-{number}"
            folder.mkdir()
            new = transcripts(folder, 1)
            backlog(new, 50)
            cell.files += new


@fault
def clock_jumps(cell: Cell) -> None:
    """A day forward, two days back, a day forward again."""
    jumps = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGUSR1)
    for _, number in zip(cell.moments(len(jumps)), jumps, strict=True):
        cell.watcher.signal(number)


def limited(name: str, value: int) -> Sequence[str]:
    """The watcher's command in a user namespace with a limit of its own."""
    inside = ("sh", "-ec", _LIMITED, "sh", str(value), name)
    return ("unshare", "-Uc", "--keep-caps", *inside, *WATCHER)


COMMANDS: dict[str, Sequence[str]] = {
    "clock_jumps": CLOCK,
    "no_inotify": limited("max_inotify_instances", 0),
    "few_watches": limited("max_inotify_watches", 9),
}
NAMESPACED = {"no_inotify", "few_watches", "database_full"}
LINUX_ONLY = {*NAMESPACED, "state_full", "state_full_at_start", "no_descriptors"}
SMALL_DISK = {"database_full"}


def hindrance(name: str) -> str | None:
    """Why a cell cannot run here."""
    if name in LINUX_ONLY and sys.platform != "linux":
        return "needs Linux"
    if name in NAMESPACED and not namespaces_work():
        return "needs user namespaces"
    return None


def run_cell(
    server: Machine, directory: Path, name: str, *, live: bool, scale: Scale = WHOLE
) -> Count:
    """Run one cell and count."""
    with server.database() as url:
        watcher = Watched(directory, url, COMMANDS.get(name, WATCHER))
        cell = Cell(server, watcher, scale, live)
        try:
            cell.begin()
            FAULTS[name](cell)
            return cell.end()
        finally:
            if watcher.alive():
                watcher.signal(signal.SIGCONT)
                watcher.kill()
            if cell.feeder is not None:
                cell.feeder.join()
