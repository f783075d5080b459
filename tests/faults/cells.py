"""The fault matrix: each fault under each load, counted exactly."""

from __future__ import annotations

import resource
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from faults import fleet as fleet
from faults import surroundings
from faults.cell import FAULTS, SETTINGS, WHOLE, Cell, Scale, fault
from faults.count import Count
from faults.load import backlog, in_folder, transcripts
from faults.machine import Machine, namespaces_work, wait_for
from faults.pair import Pair
from faults.watched import CLOCK, WATCHER, Watched

# Limits of one user namespace, set by its own root before it becomes the watcher.
_LIMITED = 'echo "$1" > "/proc/sys/user/$2"; shift 2; exec "$@"'


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
        cell.machine.stop()
        time.sleep(cell.scale.outage)
        cell.machine.start()


@fault
def server_crashed(cell: Cell) -> None:
    """Postgres stopped as in a crash and started at once, several times."""
    for _ in cell.moments(cell.scale.times):
        cell.machine.crash()
        cell.machine.start()


@fault
def server_crashed_and_watcher_killed(cell: Cell) -> None:
    """Both at once, and Postgres back only after the watcher."""
    for _ in cell.moments(2):
        cell.machine.crash()
        cell.watcher.restart()
        time.sleep(cell.scale.outage)
        cell.machine.start()


@fault
def server_frozen(cell: Cell) -> None:
    """Every process of the server is stopped."""
    for _ in cell.moments(1):
        cell.machine.freeze()
        time.sleep(cell.scale.outage)
        cell.machine.thaw()


@fault
def connections_terminated(cell: Cell) -> None:
    """pg_terminate_backend every 200 ms."""
    ended, deadline = 0, time.monotonic() + max(cell.scale.live, 3.0)
    while time.monotonic() < deadline or ended <= 3:
        ended += wait_for(cell.machine.terminate, "the watcher has no connection")
        time.sleep(0.2)


@fault
def database_full(cell: Cell) -> None:
    """No space left where the database is."""
    for _ in cell.moments(1):
        cell.machine.fill()
        cell.watcher.wait_state("waiting")
        time.sleep(cell.scale.outage)
        cell.machine.make_room()


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
        cell.machine.terminate()
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
            new = in_folder(folder, 1)
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
    **surroundings.COMMANDS,
}
NAMESPACED = {"no_inotify", "few_watches", "database_full"}
LINUX_ONLY = {*NAMESPACED, "state_full", "state_full_at_start", "no_descriptors"}
SMALL_DISK = {"database_full"}
TWO_SERVERS = {"failover"}


def hindrance(name: str) -> str | None:
    """Why a cell cannot run here."""
    if name in LINUX_ONLY and sys.platform != "linux":
        return "needs Linux"
    if name in NAMESPACED and not namespaces_work():
        return "needs user namespaces"
    return None


def run_cell(
    server: Machine | Pair, directory: Path, name: str, *, live: bool, scale: Scale = WHOLE
) -> Count:
    """Run one cell and count."""
    with server.database() as url:
        more: Callable[[str], dict[str, Any]] = surroundings.SETTINGS.get(name, lambda _: {})
        settings = {**SETTINGS, **more(url)}
        watcher = Watched(directory, url, COMMANDS.get(name, WATCHER), settings)
        cell = Cell(server, watcher, scale, live)
        try:
            cell.begin()
            FAULTS[name](cell)
            return cell.end()
        finally:
            cell.close()
