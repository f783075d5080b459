"""The kernel's notifications of changes in directories, one instance for all of them.

watchdog's own reader watches whole trees in threads, and does not report directories that it could
not watch, so only its bindings are used here.
"""

from __future__ import annotations

import ctypes
import os
import struct
from typing import NamedTuple

from watchdog.observers.inotify_c import (
    InotifyConstants,
    WatchDescriptor,
    inotify_add_watch,
    inotify_init,
    inotify_rm_watch,
)

MODIFIED = InotifyConstants.IN_MODIFY | InotifyConstants.IN_ATTRIB
APPEARED = InotifyConstants.IN_CREATE | InotifyConstants.IN_MOVED_TO
MOVED_FROM = InotifyConstants.IN_MOVED_FROM
ENDED = InotifyConstants.IN_IGNORED
OVERFLOW = InotifyConstants.IN_Q_OVERFLOW
IS_DIRECTORY = InotifyConstants.IN_ISDIR
_WANTED = (
    MODIFIED
    | InotifyConstants.IN_CREATE
    | InotifyConstants.IN_MOVE
    | InotifyConstants.IN_DELETE
    | InotifyConstants.IN_ONLYDIR
)
_HEAD = struct.Struct("iIII")
_BUFFER_BYTES = 64 * 1024


class Notice(NamedTuple):
    """A change in a watched directory, or of the directory itself if there is no name."""

    watch: int
    mask: int
    name: bytes


class Inotify:
    """An instance of inotify. Nothing stays open if it cannot be created."""

    def __init__(self) -> None:
        """Raises OSError: EMFILE if the user has too many."""
        self._fd = int(inotify_init())
        if self._fd < 0:
            raise _error()
        os.set_blocking(self._fd, False)
        os.set_inheritable(self._fd, False)

    def fileno(self) -> int:
        """Readable when there are changes to take."""
        return self._fd

    def add(self, path: str) -> int:
        """Watch a directory; raises OSError: ENOSPC if no more can be watched."""
        watch = int(inotify_add_watch(self._fd, os.fsencode(path), _WANTED))
        if watch < 0:
            raise _error()
        return watch

    def remove(self, watch: int) -> None:
        """Stop watching it; harmless if the watch has ended already."""
        inotify_rm_watch(self._fd, WatchDescriptor(watch))

    def take(self) -> list[Notice]:
        """The changes since the last call, as many as one read returns, without waiting."""
        try:
            data = os.read(self._fd, _BUFFER_BYTES)
        except BlockingIOError:
            return []
        notices: list[Notice] = []
        at = 0
        while at < len(data):
            watch, mask, _, length = _HEAD.unpack_from(data, at)
            at += _HEAD.size + length
            notices.append(Notice(watch, mask, data[at - length : at].rstrip(b"\0")))
        return notices

    def close(self) -> None:
        """Stop watching everything."""
        os.close(self._fd)


def _error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
