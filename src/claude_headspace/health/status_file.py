"""The watcher's status file, which can be read when nothing else answers.

Light to import, because the watcher's process imports it.
"""

from __future__ import annotations

import copy
import json
import os
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from claude_headspace.health.measures import Measures

FORMAT_VERSION = 1
FILE_NAME = "watcher-status.json"
BAD_CONFIGURATION_STATUS = 78

# A backlog of transcripts; what one live session writes at once is less.
BACKLOG_BYTES = 4_000_000

_LARGEST_BYTES = 64 * 1024
_LONGEST_TEXT = 2_000
_CLOCK_TOLERANCE_SECONDS = 5.0

WatcherState = Literal["starting", "waiting", "capturing", "stopping"]
ProblemKind = Literal["missing", "unreadable", "torn", "foreign", "future"]


@dataclass(slots=True, kw_only=True)
class WriteFigures:
    """What a writer has done since its start; times are epoch seconds."""

    written: int = 0
    duplicates: int = 0
    rejected: int = 0
    failed: int = 0
    retries: int = 0
    last_write_at: float | None = None
    last_error: str | None = None
    failing_since: float | None = None


@dataclass(slots=True, kw_only=True)
class WatcherStatus(WriteFigures):
    """The state of the watcher at one moment; times are epoch seconds, counts are since its start.

    `committed_bytes` only grows, `advanced_at` is when it last did; `oldest_unread_at` is when the
    watcher found the file that has waited longest. `capture_total_bytes` is set while a large
    backlog is being read. `measures` is None if another version wrote something else.
    `doing` is the current work, `doing_seconds` how long it had taken at `beat_at`, and
    `doing_limit` how long it may take.
    """

    pid: int
    started_at: float
    beat_at: float
    state: WatcherState
    version: int = FORMAT_VERSION
    doing: str = ""
    doing_seconds: float = 0.0
    doing_limit: float = 0.0
    reason: str | None = None
    backlog_bytes: int = 0
    backlog_files: int = 0
    committed_bytes: int = 0
    committed_lines: int = 0
    advanced_at: float | None = None
    oldest_unread_at: float | None = None
    notifications: bool = True
    poison_lines: int = 0
    trouble: str | None = None
    files: int = 0
    sessions: int = 0
    capture_total_bytes: float | None = None
    capture_rate_bytes_per_second: float | None = None
    measures: Measures | None = None

    def to_json(self) -> str:
        """One line; long texts are cut, so that the file stays small."""
        values = asdict(self)
        for name in ("doing", "reason", "last_error", "trouble"):
            if values[name] is not None:
                values[name] = values[name][:_LONGEST_TEXT]
        return json.dumps(values) + "\n"

    def frozen(self) -> WatcherStatus:
        """A copy without shared mutable state, for another thread."""
        return replace(self, measures=copy.deepcopy(self.measures))

    @classmethod
    def from_json(cls, text: str) -> WatcherStatus:
        """Raises ValueError for anything but a status of this format."""
        values = json.loads(text)
        if not isinstance(values, dict) or values.get("version") != FORMAT_VERSION:
            raise ValueError("not a status of this version")
        measures = Measures.from_json(values.pop("measures", None))
        return replace(msgspec.convert(values, cls), measures=measures)


@dataclass(frozen=True, slots=True)
class StatusProblem:
    """Why there is no usable status, in one sentence for people."""

    kind: ProblemKind
    detail: str


StatusResult: TypeAlias = WatcherStatus | StatusProblem


def status_path(state_directory: Path) -> Path:
    """The status file of the watcher of this state directory."""
    return state_directory / FILE_NAME


def write_status(path: Path, status: WatcherStatus) -> None:
    """Replace the file atomically; on OSError (a full disk) the old file is unchanged."""
    write_private(path, status.to_json())


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, completely or not at all."""
    temporary = path.with_name(path.name + ".tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(descriptor, 0o600)
        file.write(text)
    temporary.replace(path)


def read_status(path: Path, now: float | None = None) -> StatusResult:
    """Read the watcher's status; never raises, whatever the file contains."""
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_BYTES)
    except FileNotFoundError:
        return StatusProblem("missing", f"the watcher has written no status to {path}")
    except OSError as error:
        return StatusProblem("unreadable", f"the watcher's status cannot be read: {error}")
    return _parse(data, time.time() if now is None else now)


def reads_a_backlog(state_directory: Path) -> bool:
    """Whether the watcher needs the processors: what is not for now can wait."""
    status = read_status(status_path(state_directory))
    return isinstance(status, WatcherStatus) and status.backlog_bytes > BACKLOG_BYTES


def _parse(data: bytes, now: float) -> StatusResult:
    try:
        values = json.loads(data)
    except ValueError:
        return StatusProblem("torn", "the watcher's status file is incomplete or damaged")
    try:
        status = WatcherStatus.from_json(data.decode())
    except ValueError as error:
        version = values.get("version") if isinstance(values, dict) else None
        told = f"(version {version}: {error})"
        return StatusProblem("foreign", f"the watcher's status has an unknown format {told}")
    ahead = status.beat_at - now
    if ahead > _CLOCK_TOLERANCE_SECONDS:
        told = f"{ahead:.0f} s in the future: check the clock"
        return StatusProblem("future", f"the watcher's status is {told}")
    return status
