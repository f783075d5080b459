"""Faults of many machines over one log: moved, over one home, and all of them in one crash."""

from __future__ import annotations

import shutil
import signal

from faults.cell import SETTINGS, Cell, fault
from faults.load import backlog, transcripts
from faults.machine import wait_for
from faults.watched import Watched

MACHINES = 4


@fault
def moved(cell: Cell) -> None:
    """A copy of the state directory waits for the watcher of the first, and goes on for it."""
    for _ in cell.moments(1):
        first = cell.watcher
        first.wait_state("capturing")
        copy = _beside(cell, "copy")
        shutil.copytree(first.state, copy.state, dirs_exist_ok=True)
        copy.projects = first.projects
        copy.configure()
        copy.start()
        _wait_told(copy, "is a copy of its state directory")
        first.kill()
        cell.watcher = copy
        for left in list((first.inbox / "new").iterdir()):
            shutil.move(left, copy.inbox / "new" / left.name)
        copy.wait_state("capturing")


def _beside(cell: Cell, name: str) -> Watched:
    directory = cell.watcher.directory / name
    directory.mkdir()
    return Watched(directory, cell.watcher.url, settings={**SETTINGS, "state": {"host": name}})


def _wait_told(watcher: Watched, told: str) -> None:
    def says() -> bool:
        status = watcher.status()
        return status is not None and told in (status.reason or "")

    wait_for(says, f"it does not say that it {told}")


@fault
def shared_home(cell: Cell) -> None:
    """Another machine sees the same transcripts; either is killed, or stopped for a while."""
    other = _beside(cell, "other")
    other.projects = cell.watcher.projects
    other.configure()
    other.start()
    cell.others.append(other)
    for number, _ in enumerate(cell.moments(2)):
        (cell.watcher, other)[number].restart()
        (other, cell.watcher)[number].signal(signal.SIGSTOP)
        wait_for((cell.watcher, other)[number].status, "it does not start again")
        (other, cell.watcher)[number].signal(signal.SIGCONT)


@fault
def fleet(cell: Cell) -> None:
    """Several machines write at once; the server crashes, and half of them with it."""
    cell.others += [_beside(cell, f"machine-{number}") for number in range(MACHINES)]
    for machine in cell.others:
        machine.start()
    for number, _ in enumerate(cell.moments(2)):
        for machine in cell.others:
            new = transcripts(machine.projects, 2)
            backlog(new, 400)
            cell.files += new
            for transcript in new:
                cell.hook("SessionStart", transcript)
        cell.machine.crash()
        for machine in cell.others[number::2]:
            machine.restart()
        cell.machine.start()
