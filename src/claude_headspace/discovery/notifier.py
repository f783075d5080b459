"""Reports which paths may have changed. These are hints: a rescan finds what they miss."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Protocol

DOUBT_SECONDS = 600.0
# In the names of transcripts, renamed ones too, and of the inbox's files.
OF_INTEREST = ".json"


class Waker:
    """Lets any thread, or a signal handler, end the loop's wait."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)

    def fileno(self) -> int:
        """Readable once somebody has called."""
        return self._reader

    def wake(self) -> None:
        """End the wait that is under way, or the next one."""
        try:
            os.write(self._writer, b".")
        except BlockingIOError:
            return  # it is full of calls already

    def clear(self) -> None:
        """Forget all calls."""
        try:
            while os.read(self._reader, 4096):
                pass
        except BlockingIOError:
            return


@dataclass(slots=True)
class Changes:
    """Paths that may have changed since they were last taken; `lost`: there were more.

    `others` are new names of neither transcripts nor directories: symbolic links, perhaps.
    """

    files: dict[str, None] = field(default_factory=dict)
    directories: dict[str, None] = field(default_factory=dict)
    others: dict[str, None] = field(default_factory=dict)
    lost: bool = False


class Notifications(Protocol):
    """What the loop needs from a source of notifications."""

    @property
    def complete(self) -> bool:
        """Whether every directory is watched; polling does the rest."""

    def fileno(self) -> int | None:
        """Readable when there is something to take; None if a waker reports it."""

    def take(self) -> Changes:
        """What may have changed since the last call."""

    def watch(self, directory: str, active_at: int) -> None:
        """Watch this directory from now on; it was written to last at `active_at`."""

    def forget(self, directory: str) -> None:
        """Stop watching this directory and those below it."""

    def begin_round(self) -> None:
        """From here on every directory that there is will be named again, until the end."""

    def end_round(self) -> None:
        """Every directory was named: forget those that were not."""

    def doubt(self, path: str) -> None:
        """A change was found that had not been reported."""

    def renew(self) -> bool:
        """Start if necessary; True if every directory must be named again."""

    def stop(self) -> None:
        """Stop watching."""
