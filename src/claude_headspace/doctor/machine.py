"""Checks of the installation, the configuration and the disk."""

from __future__ import annotations

from collections.abc import Iterator

from claude_headspace.config import Config
from claude_headspace.doctor.facts import Disk, Finding, Machine
from claude_headspace.health.words import format_bytes

NEWEST_PYTHON = (3, 14)
LITTLE_BYTES = 1_000_000_000
OTHERS_READ = 0o066


def python(machine: Machine) -> Iterator[Finding]:
    """The interpreter and versions, which every report should name."""
    told = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    number = ".".join(map(str, machine.python))
    if machine.python[:2] > NEWEST_PYTHON:
        yield Finding(
            "warning",
            f"Python {number} is newer than any that this version was tested with",
            "install the program with Python 3.11 to 3.14",
        )
    yield Finding("ok", f"Python {number}; {told}")


def encoding(machine: Machine) -> Iterator[Finding]:
    """File names that are not ASCII need UTF-8."""
    if machine.encoding.lower().replace("-", "") != "utf8":
        yield Finding(
            "warning",
            f"file names are read as {machine.encoding}",
            "set LC_ALL=C.UTF-8, then `claude-headspace restart`",
        )
    else:
        yield Finding("ok", "file names are read as UTF-8")


def installation(machine: Machine) -> Iterator[Finding]:
    """Whether everything can be started from this installation."""
    for problem in machine.refusals:
        told, _, remedy = problem.rpartition(": ")
        yield Finding("broken", told, remedy)
    if not machine.refusals:
        yield Finding("ok", "the installation is complete")


def configuration(machine: Machine) -> Iterator[Finding]:
    """Mistakes in the configuration."""
    for problem in machine.config_problems:
        yield Finding("broken", problem, "correct it; `claude-headspace check-config` shows more")
    if not machine.config_problems:
        yield Finding("ok", "the configuration has no mistakes")


def settings_file(config: Config, disk: Disk) -> Iterator[Finding]:
    """Who may read the configuration file, which may contain a password."""
    secret = config.database.url is not None and "@" in config.database.url
    if secret and (disk.config_mode or 0) & OTHERS_READ:
        yield Finding(
            "warning",
            f"{config.path} names a database, and other users can read it",
            f"chmod 600 {config.path}",
        )
    else:
        yield Finding("ok", f"settings: {config.path or 'defaults; there is no file'}")


def state_directory(config: Config, disk: Disk) -> Iterator[Finding]:
    """Whether the state directory is writable and private."""
    path = config.state.directory
    if not disk.writable:
        yield Finding("broken", f"{path} cannot be written", "check its owner and mode")
    elif (disk.mode or 0) & OTHERS_READ:
        yield Finding("warning", f"{path} is open to other users", f"chmod go-rw {path}")
    else:
        yield Finding("ok", f"everything is written to {path}")


def room(config: Config, disk: Disk) -> Iterator[Finding]:
    """Whether the disk has free space."""
    free = format_bytes(disk.free_bytes)
    if disk.problem:
        yield Finding("broken", disk.problem, "free some space")
    elif disk.free_bytes < LITTLE_BYTES:
        yield Finding("warning", f"only {free} are free on the disk", "free some space")
    else:
        yield Finding("ok", f"{free} are free on the disk of {config.state.directory}")
