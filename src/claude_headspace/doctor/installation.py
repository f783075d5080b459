"""Checks of the installation, the configuration and the disk."""

from __future__ import annotations

from collections.abc import Iterator

from claude_headspace.config import Config
from claude_headspace.doctor.evidence import Advice, Disk, Installation
from claude_headspace.health.units import format_bytes

NEWEST_PYTHON = (3, 14)
LITTLE_BYTES = 1_000_000_000
OTHERS_READ = 0o066


def python(installed: Installation) -> Iterator[Advice]:
    """The interpreter and versions, which every report should name."""
    told = ", ".join(f"{name} {version}" for name, version in installed.versions.items())
    number = ".".join(map(str, installed.python))
    if installed.python[:2] > NEWEST_PYTHON:
        yield Advice(
            "warning",
            f"Python {number} is newer than any that this version was tested with",
            "install the program with Python 3.11 to 3.14",
        )
    yield Advice("ok", f"Python {number}; {told}")


def encoding(installed: Installation) -> Iterator[Advice]:
    """File names that are not ASCII need UTF-8."""
    if installed.encoding.lower().replace("-", "") != "utf8":
        yield Advice(
            "warning",
            f"file names are read as {installed.encoding}",
            "set LC_ALL=C.UTF-8, then `claude-headspace restart`",
        )
    else:
        yield Advice("ok", "file names are read as UTF-8")


def installation(installed: Installation) -> Iterator[Advice]:
    """Whether everything can be started from this installation."""
    for problem in installed.refusals:
        told, _, remedy = problem.rpartition(": ")
        yield Advice("broken", told, remedy)
    if not installed.refusals:
        yield Advice("ok", "the installation is complete")


def configuration(installed: Installation) -> Iterator[Advice]:
    """Mistakes in the configuration."""
    for problem in installed.config_problems:
        yield Advice("broken", problem, "correct it; `claude-headspace check-config` shows more")
    if not installed.config_problems:
        yield Advice("ok", "the configuration has no mistakes")


def settings_file(config: Config, disk: Disk) -> Iterator[Advice]:
    """Who may read the configuration file, which may contain a password."""
    secret = config.database.url is not None and "@" in config.database.url
    if secret and (disk.config_mode or 0) & OTHERS_READ:
        yield Advice(
            "warning",
            f"{config.path} names a database, and other users can read it",
            f"chmod 600 {config.path}",
        )
    else:
        yield Advice("ok", f"settings: {config.path or 'defaults; there is no file'}")


def state_directory(config: Config, disk: Disk) -> Iterator[Advice]:
    """Whether the state directory is writable and private."""
    path = config.state.directory
    if not disk.writable:
        yield Advice("broken", f"{path} cannot be written", "check its owner and mode")
    elif (disk.mode or 0) & OTHERS_READ:
        yield Advice("warning", f"{path} is open to other users", f"chmod go-rw {path}")
    else:
        yield Advice("ok", f"everything is written to {path}")


def room(config: Config, disk: Disk) -> Iterator[Advice]:
    """Whether the disk has free space."""
    free = format_bytes(disk.free_bytes)
    if disk.problem:
        yield Advice("broken", disk.problem, "free some space")
    elif disk.free_bytes < LITTLE_BYTES:
        yield Advice("warning", f"only {free} are free on the disk", "free some space")
    else:
        yield Advice("ok", f"{free} are free on the disk of {config.state.directory}")
