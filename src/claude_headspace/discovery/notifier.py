"""Reports which paths may have changed. These are hints; the rescan finds what they miss."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Protocol

DOUBT_SECONDS = 600.0
# Part of the names of transcripts, renamed ones too, and of the inbox's files.
OF_INTEREST = ".json"


class Waker:
    """Lets any thread or signal handler end the loop's wait."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)

    def fileno(self) -> int:
        """Readable after a call of `wake`."""
        return self._reader

    def wake(self) -> None:
        """End the current wait, or the next one."""
        try:
            os.write(self._writer, b".")
        except BlockingIOError:
            return  # the pipe is already full of calls

    def clear(self) -> None:
        """Drop all calls."""
        try:
            while os.read(self._reader, 4096):
                pass
        except BlockingIOError:
            return


@dataclass(slots=True)
class Changes:
    """Paths that may have changed since the last `take`; `lost`: there were more.

    `others` are new names of neither transcripts nor directories, such as symbolic links.
    """

    files: dict[str, None] = field(default_factory=dict)
    directories: dict[str, None] = field(default_factory=dict)
    others: dict[str, None] = field(default_factory=dict)
    lost: bool = False


class Notifications(Protocol):
    """The interface of a source of notifications."""

    @property
    def complete(self) -> bool:
        """Whether every directory is watched; else scanning finds the rest."""

    @property
    def in_use(self) -> bool:
        """Whether no directory is known to be unwatched; only a whole round finds all."""

    def fileno(self) -> int | None:
        """Readable when there are changes to take; None if a waker reports them."""

    def take(self) -> Changes:
        """The paths that may have changed since the last call."""

    def watch(self, directory: str, active_at: int) -> None:
        """Watch this directory from now on; it was last written at `active_at`."""

    def discard(self, directory: str) -> None:
        """Stop watching this directory and those below it."""

    def begin_round(self) -> None:
        """A round begins, in which `watch` is called for every existing directory."""

    def end_round(self) -> None:
        """The round has ended: drop directories that it did not name."""

    def doubt(self, path: str) -> None:
        """A change was found that was not reported."""

    def renew(self) -> bool:
        """Start if necessary; True if `watch` must be called again for every directory."""

    def stop(self) -> None:
        """Stop watching."""
