"""The history of restarts: a file of limited size with one JSON line per restart."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from claude_headspace.health.status_file import write_private

FILE_NAME = "restarts.jsonl"
# The type of the message inside supervisord that carries a record to the listener.
MESSAGE_TYPE = "headspace-guard"
LARGEST_BYTES = 256 * 1024
KEPT_RECORDS = 500

RestartOutcome = Literal["restarted", "gave up", "tried again"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartRecord:
    """One end of the watcher: why, after how long, and what followed.

    With the outcome "tried again": a start long after the watcher was given up.
    `at` is epoch seconds; `attempt` counts restarts within the window; `number` counts the
    restarts since the history began; `key` tells apart two deliveries of one event.
    """

    at: float
    reason: str
    outcome: RestartOutcome
    attempt: int
    limit: int
    window_seconds: float
    pid: int = 0
    uptime_seconds: float | None = None
    detail: str = ""
    number: int = 0
    key: str = ""


def history_path(state_directory: Path) -> Path:
    """The history file of this state directory."""
    return state_directory / FILE_NAME


def append_restart(path: Path, record: RestartRecord) -> None:
    """Add one record; raises OSError if it cannot be stored."""
    line = json.dumps(asdict(record)) + "\n"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    try:
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        os.write(descriptor, ("\n" + line if torn else line).encode())
    finally:
        os.close(descriptor)
    if size > LARGEST_BYTES:
        kept = read_restarts(path, KEPT_RECORDS)
        write_private(path, "".join(json.dumps(asdict(each)) + "\n" for each in kept))


def read_restarts(path: Path, count: int = KEPT_RECORDS) -> list[RestartRecord]:
    """The newest records, oldest first; lines that are not records are skipped."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    return [record for record in map(_parse, lines) if record is not None][-count:]


def format_restarts(records: Sequence[RestartRecord]) -> str:
    """A table for people, oldest first, in local time."""
    if not records:
        return "The watcher has never been restarted."
    rows = [("time", "reason", "uptime", "attempt", "outcome"), *map(_row, records)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _parse(line: bytes) -> RestartRecord | None:
    try:
        record = RestartRecord(**json.loads(line))
        datetime.fromtimestamp(record.at)
    except (ValueError, TypeError, OverflowError, OSError):
        return None
    return record


def _row(record: RestartRecord) -> tuple[str, ...]:
    moment = datetime.fromtimestamp(record.at).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    uptime = "?" if record.uptime_seconds is None else f"{record.uptime_seconds:.1f} s"
    attempt = f"{record.attempt} of {record.limit} in {record.window_seconds:g} s"
    outcome = f"{record.outcome}: {record.detail}" if record.detail else record.outcome
    return (moment, record.reason, uptime, attempt, outcome)
