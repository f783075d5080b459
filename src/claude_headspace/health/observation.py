"""The input of a verdict: everything observed at one moment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from claude_headspace.health.status_file import StatusResult, WatcherStatus

STALE_BEAT_SECONDS = 4.0
LEAST_BYTES = 1_000_000
# Programs of supervisord; the guard is an event listener.
WATCHER = "watcher"
GUARD = "guard"
# The file in which the forwarder says what it waits for, while it waits.
FORWARDER_WAITS = "forwarder-waits"


@dataclass(frozen=True, slots=True)
class ProgramState:
    """A program as supervisord sees it; times are epoch seconds, `error` says why it is down."""

    name: str
    state: str
    pid: int
    started_at: float
    error: str

    @property
    def is_running(self) -> bool:
        """Whether it has a process that is not being stopped."""
        return self.state in ("RUNNING", "STARTING") and self.pid > 0


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Something did not answer; one sentence says why."""

    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardState:
    """What the guard inside supervisord reports about itself.

    `next_try_seconds`: how long until a watcher that was given up is tried again, if ever.
    """

    restarts: int
    limit: int
    window_seconds: float
    next_try_seconds: float | None = None
    broken: str = ""
    settings_problem: str = ""
    waiting_ticks: int = 0


@dataclass(frozen=True, slots=True)
class DatabasePing:
    """One round trip to Postgres."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """The input of a verdict; `database` is None if it was not checked.

    `dangers` are sentences about things that harm the user even if everything runs; `remarks` are
    about harmless things worth knowing.
    `disk` says what is wrong with the disk of the state directory, if anything.
    `ended` says that the process that wrote the status has ended.
    """

    now: float
    status: StatusResult
    programs: tuple[ProgramState, ...] | Unanswered
    guard: GuardState | Unanswered
    database: DatabasePing | Unanswered | None
    dangers: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    disk: str = ""
    ended: bool = False

    def find(self, name: str) -> ProgramState | None:
        """The program of this name."""
        if isinstance(self.programs, Unanswered):
            return None
        return next((program for program in self.programs if program.name == name), None)

    @property
    def is_tripped(self) -> bool:
        """Whether the guard has given the watcher up."""
        watcher = self.find(WATCHER)
        return watcher is not None and watcher.state == "FATAL"

    def silence(self, status: WatcherStatus) -> float:
        """Seconds since the watcher's last heartbeat."""
        return self.now - status.beat_at

    @property
    def is_beating(self) -> bool:
        """Whether the last heartbeat is recent."""
        status = self.status
        if self.ended or not isinstance(status, WatcherStatus):
            return False
        return self.silence(status) <= STALE_BEAT_SECONDS


def disk_problem(directory: Path) -> str:
    """A sentence about a full or read-only disk, or nothing; checked without writing."""
    try:
        found = os.statvfs(directory)
    except OSError as error:
        return f"the state directory {directory} cannot be examined: {error.strerror}"
    if not os.access(directory, os.W_OK):
        return f"the state directory {directory} cannot be written: is its disk read-only?"
    blocks = found.f_bavail if os.getuid() else found.f_bfree
    if blocks * found.f_frsize < LEAST_BYTES:
        left = blocks * found.f_frsize
        return f"the disk of {directory} is full: {left} bytes are left; free some space"
    if found.f_files and not found.f_ffree:
        return f"the disk of {directory} is full: no more files can be created on it; remove some"
    return ""
