"""The machine that the figures belong to, and the processes on it."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

BLOCK = b"\0" * 8192
SYNCS = 200


def describe(directory: Path) -> dict[str, str]:
    """What decides how fast this machine is; the disk is the one that holds `directory`."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cores": f"{os.cpu_count()}",
        "processor": processor(),
        "memory": f"{memory / 1e9:.1f} GB",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        **condition(directory, "before"),
    }


def condition(directory: Path, when: str) -> dict[str, str]:
    """What may change while it is measured."""
    return {
        f"fdatasync {when}": f"{sync_cost(directory) * 1e6:.0f} us for 8 KiB, median of {SYNCS}",
        f"load {when}": " ".join(f"{load:.1f}" for load in os.getloadavg()),
    }


def processor() -> str:
    """The processor's name, as far as the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def sync_cost(directory: Path) -> float:
    """Seconds that it takes to have 8 KiB on the disk."""
    synchronise = getattr(os, "fdatasync", os.fsync)
    path = directory / "sync-cost"
    taken = []
    with path.open("wb", buffering=0) as file:
        for _ in range(SYNCS):
            file.seek(0)
            file.write(BLOCK)
            started = time.perf_counter()
            synchronise(file.fileno())
            taken.append(time.perf_counter() - started)
    path.unlink()
    return statistics.median(taken)


def resident(pid: int) -> float:
    """The process's resident memory now, in MB of 10^6 bytes."""
    done = subprocess.run(
        ["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True
    )
    return int(done.stdout) * 1024 / 1e6


def resident_peak(pid: int) -> float | None:
    """The most that it ever was; None where the system does not tell."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return None
    for line in status.read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    return None


def memory_of(parent: int) -> float:
    """A process and its children, each with its share of what they share, in MB; 0 if not told."""
    total = 0.0
    for pid in (parent, *children_of(parent)):
        rollup = Path(f"/proc/{pid}/smaps_rollup")
        if rollup.exists():
            total += sum(int(line.split()[1]) for line in rollup.open() if line.startswith("Pss:"))
    return total * 1024 / 1e6


def children_of(pid: int) -> list[int]:
    """The processes that this one has started and that run still."""
    listed = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in listed for child in task.read_text().split()]


def processor_seconds(pid: int) -> float | None:
    """Processor time of all threads so far; None of an ended process, or where it is not told."""
    if sys.platform != "linux":
        return None
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    try:
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9
    except (FileNotFoundError, ProcessLookupError):
        return None


class Used:
    """Processor time of the watcher and of Postgres from here on, where the system tells it."""

    def __init__(self, watcher: int, postmaster: int) -> None:
        self._watcher = watcher
        self._postmaster = postmaster
        self._before = self._now()

    def since(self) -> dict[str, float]:
        """Seconds by program; of Postgres, those of the processes that run still."""
        before = self._before
        return {name: used - before.get(name, 0.0) for name, used in self._now().items()}

    def _now(self) -> dict[str, float]:
        if (own := processor_seconds(self._watcher)) is None:
            return {}
        of_server = (processor_seconds(pid) or 0.0 for pid in children_of(self._postmaster))
        return {"itself": own, "Postgres": sum(of_server)}
