"""Leaving one event durably in the inbox, as in a maildir.

The event is written to `tmp/`, flushed to disk and renamed into `new/`, and the directory is
flushed: a process that is killed between any two steps leaves either nothing in `new/` or the
complete event. Names in `new/` sort in the order of the calls.

Paths are strings here, because every run of a hook imports this module, and pathlib alone would
take a tenth of its time.
"""
# ruff: noqa: PTH100, PTH102, PTH104, PTH108, PTH112, PTH118, PTH120

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Mapping

from claude_headspace.errors import InboxError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any

ARRIVED = "new"
UNFINISHED = "tmp"
MAX_EVENT_BYTES = 16 * 1024 * 1024
_UUID_GROUPS = (8, 4, 4, 4, 12)
_HEX = frozenset("0123456789abcdef")


class _Order:
    """Returns names that sort in the order of the calls, even if the clock is set back.

    Its lock is held from the name to the rename, so that no thread of this process shows a later
    name before an earlier one.
    """

    def __init__(self, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self.lock = threading.Lock()
        self._clock_ns = clock_ns
        self._last_ns = 0
        self._count = 0

    def next_name(self) -> str:
        self._last_ns = max(self._clock_ns(), self._last_ns + 1)
        self._count += 1
        unlikely = os.urandom(4).hex()
        return f"{self._last_ns:020d}-{os.getpid():010d}-{self._count:08d}-{unlikely}.json"

    def unlock(self) -> None:
        """Reset the lock in a forked child, which lacks the thread that would release it."""
        self.lock = threading.Lock()


_order = _Order()
os.register_at_fork(after_in_child=_order.unlock)


def put(
    directory: str | os.PathLike[str],
    event_type: str,
    payload: Mapping[str, Any],
    *,
    timestamp: datetime | None = None,
    event_id: str | None = None,
) -> str:
    """Leave one event in the inbox at `directory` and return its id; on disk when this returns.

    `timestamp` is the event's own time and needs a zone; now, if not given. Putting an event
    again under the same `event_id` (a UUID) stores it once. Raises InboxError.
    """
    _check(event_type, payload, timestamp, event_id)
    identity = new_id() if event_id is None else event_id.lower()
    when = _now() if timestamp is None else timestamp.isoformat()
    event = {"id": identity, "type": event_type, "timestamp": when, "payload": dict(payload)}
    content = _encoded(event)
    inbox = os.fspath(directory)
    try:
        _deliver(inbox, content)
    except OSError as error:
        raise InboxError(
            f"The event could not be written to the inbox {inbox} ({error.strerror or error}): "
            "check that the directory is writable and its disk has space."
        ) from error
    return identity


def new_id() -> str:
    """Return a random UUID (version 4) without importing the module uuid."""
    raw = bytearray(os.urandom(16))
    raw[6] = raw[6] & 0x0F | 0x40
    raw[8] = raw[8] & 0x3F | 0x80
    digits = raw.hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def is_event_id(value: object) -> bool:
    """Whether `value` is a UUID in the usual 36 lower-case characters."""
    if not isinstance(value, str):
        return False
    groups = value.split("-")
    return tuple(map(len, groups)) == _UUID_GROUPS and _HEX.issuperset("".join(groups))


def _deliver(inbox: str, content: bytes) -> None:
    unfinished, arrived = os.path.join(inbox, UNFINISHED), os.path.join(inbox, ARRIVED)
    make_private(unfinished)
    make_private(arrived)
    draft = os.path.join(unfinished, f"{os.getpid()}-{new_id()}")
    try:
        _write_flushed(draft, content)
        with _order.lock:
            os.rename(draft, os.path.join(arrived, _order.next_name()))
    except BaseException:
        _discard(draft)
        raise
    flush_directory(arrived)


def _write_flushed(path: str, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _discard(draft: str) -> None:
    try:
        os.unlink(draft)
    except FileNotFoundError:
        return


def make_private(directory: str) -> None:
    """Create the directory and missing parents, private to their owner."""
    if os.path.isdir(directory):
        return
    above = os.path.dirname(os.path.abspath(directory))
    make_private(above)
    try:
        os.mkdir(directory, mode=0o700)
    except FileExistsError:
        if not os.path.isdir(directory):
            raise
    flush_directory(above)


def flush_directory(directory: str) -> None:
    """Flush a directory's names to disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _encoded(event: Mapping[str, Any]) -> bytes:
    try:
        content = json.dumps(event, allow_nan=False).encode("ascii") + b"\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise InboxError(
            f"The payload cannot be written as JSON ({error}): give objects, lists, strings, "
            "finite numbers, true, false and null only."
        ) from error
    if len(content) > MAX_EVENT_BYTES:
        raise InboxError(
            f"The event is {len(content)} bytes long, but the inbox accepts {MAX_EVENT_BYTES}: "
            "leave out what the log does not need."
        )
    return content


def _now() -> str:
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{moment}.{nanoseconds // 1000:06d}+00:00"


def _check(
    event_type: str, payload: Mapping[str, Any], timestamp: datetime | None, event_id: str | None
) -> None:
    if event_id is not None and not is_event_id(event_id.lower()):
        raise InboxError(f"The event id {event_id!r} is not a UUID: give one, or none.")
    if not event_type or not isinstance(event_type, str):
        raise InboxError(f"The event type {event_type!r} is not a name: give an event type.")
    if timestamp is not None and timestamp.utcoffset() is None:
        raise InboxError(f"The event's time {timestamp} has no zone: give one, such as +00:00.")
    if not isinstance(payload, Mapping):
        raise InboxError(f"The payload is a {type(payload).__name__}: give an object.")
