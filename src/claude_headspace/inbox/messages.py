"""Reading the inbox: the waiting files in order, and the event in each."""

from __future__ import annotations

import json
import os
import stat
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from claude_headspace.errors import InboxDamaged, InboxError
from claude_headspace.inbox.producer import ARRIVED, MAX_EVENT_BYTES, UNFINISHED, is_event_id

LEFTOVER_SECONDS = 36 * 3600
_FIELDS = frozenset({"id", "type", "timestamp", "payload"})


@dataclass(frozen=True, slots=True)
class Message:
    """One event of the inbox, not yet checked by the schema of its type."""

    id: str
    type: str
    timestamp: datetime
    payload: dict[str, Any]
    path: Path


def inbox_directory(state_directory: Path) -> Path:
    """The inbox of the instance with this state directory."""
    return state_directory / "inbox"


def list_messages(directory: str | os.PathLike[str]) -> list[Path]:
    """Return the waiting files, oldest first; none if there is no inbox.

    A directory that is read while files are added may show a later file without an earlier one.
    The earlier one is there when the directory is read again.
    """
    arrived = Path(directory) / ARRIVED
    latest = max(_names(arrived), default="")
    names = _names(arrived) if latest else []
    return [arrived / name for name in sorted(names) if name <= latest]


def _names(arrived: Path) -> list[str]:
    try:
        with os.scandir(arrived) as entries:
            return [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unreadable(arrived, error) from error


def read_message(path: Path) -> Message:
    """Return the event in one file of the inbox.

    Raises InboxDamaged if it is not one complete event, and InboxError if it cannot be read now,
    but perhaps later.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW
    try:
        with os.fdopen(os.open(path, flags), "rb") as file:
            content = file.read(MAX_EVENT_BYTES + 1)
    except OSError as error:
        raise _unreadable(path, error) from error
    if len(content) > MAX_EVENT_BYTES:
        _damaged(path, f"is longer than the {MAX_EVENT_BYTES} bytes that an event may have")
    return parsed_message(content, path)


def remove_leftovers(
    directory: str | os.PathLike[str], older_than_seconds: float = LEFTOVER_SECONDS
) -> int:
    """Delete files of producers that died while writing; returns how many. Raises OSError."""
    unfinished = Path(directory) / UNFINISHED
    newest = time.time() - older_than_seconds
    removed = 0
    for draft in unfinished.iterdir() if unfinished.is_dir() else ():
        found = draft.lstat()
        if stat.S_ISREG(found.st_mode) and found.st_mtime <= newest:
            draft.unlink(missing_ok=True)
            removed += 1
    return removed


def parsed_message(content: bytes, path: Path) -> Message:
    """The event in the content of a file. Raises InboxDamaged, which names `path`."""
    try:
        event = json.loads(content, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        _damaged(path, f"is not JSON ({error})")
    if not isinstance(event, dict) or event.keys() != _FIELDS:
        _damaged(path, f"is not an object with exactly {', '.join(sorted(_FIELDS))}")
    return _message(event, path)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _message(event: dict[str, Any], path: Path) -> Message:
    if not is_event_id(event["id"]):
        _damaged(path, "has an id that is not a UUID")
    if not isinstance(event["type"], str) or not event["type"]:
        _damaged(path, "has a type that is not a name")
    if not isinstance(event["payload"], dict):
        _damaged(path, "has a payload that is not an object")
    timestamp = _zoned(event["timestamp"])
    if timestamp is None:
        _damaged(path, "has a timestamp that is not ISO 8601 with a zone")
    return Message(event["id"], event["type"], timestamp, event["payload"], path)


def _zoned(text: object) -> datetime | None:
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
        if moment.utcoffset() is None:
            return None
        moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment


def _damaged(path: Path, problem: str) -> NoReturn:
    raise InboxDamaged(f"The file {path} {problem}: it is not an event left by this program.")


def _unreadable(path: Path, error: OSError) -> InboxError:
    return InboxError(
        f"{path} cannot be read ({error.strerror or error}): check its owner and mode."
    )
