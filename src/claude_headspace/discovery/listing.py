"""Finds transcripts below the project directories."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Container, Generator, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from claude_headspace.transcripts.checkpoint import as_stored, file_stamp

TRANSCRIPT_SUFFIX = ".jsonl"
# The time of one slice of a listing, after which other work is done.
SLICE_SECONDS = 0.002
DANGLING = "a symbolic link to nothing"
# Workflows write a journal next to their subagents' transcripts; it is not a transcript.
_NO_TRANSCRIPTS = frozenset({"journal.jsonl"})
# macOS leaves such a file next to a real one on foreign file systems.
_SHADOW = "._"
# The operating system's errors for a path that does not exist.
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG})

Look = Callable[[str], os.stat_result]


class Sighting(NamedTuple):
    """A file or directory as it was seen, without opening it."""

    path: str
    device: int
    inode: int
    size: int
    mtime_ns: int

    @property
    def identity(self) -> tuple[int, int]:
        """Device and inode."""
        return self.device, self.inode

    @property
    def stamp(self) -> int:
        """A value that changes when the file is written to or replaced."""
        return file_stamp(self.device, self.inode, self.size, self.mtime_ns)


def is_transcript(path: str) -> bool:
    """Whether a file of this name is one of Claude Code's transcripts."""
    name = os.path.basename(path)
    is_shadow = name.startswith(_SHADOW) or name in _NO_TRANSCRIPTS
    return name.endswith(TRANSCRIPT_SUFFIX) and not is_shadow


def look(path: str, look_at: Look = os.stat) -> Sighting | None:
    """The regular file at this path, or None; raises OSError if that cannot be determined."""
    try:
        found = look_at(path)
    except ValueError:
        return None
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise
    if not stat.S_ISREG(found.st_mode):
        return None
    return _sighting(path, found)


def _sighting(path: str, found: os.stat_result) -> Sighting:
    device, inode = as_stored(found.st_dev), as_stored(found.st_ino)
    return Sighting(path, device, inode, found.st_size, as_stored(found.st_mtime_ns))


class Listing:
    """A walk through directories and everything below them, in slices of a few milliseconds.

    A slice has the files that were found; a directory without any gives an empty slice. Each
    directory is read once, however many paths lead to it: real paths before symbolic links, which
    are followed only for a root or a project's folder. `enter` is called with each directory as it
    was just before it is listed; directories in `known` are not entered from above. `unreadable`
    says what could not be read, and why; `gone` names directories that do not exist.
    """

    def __init__(
        self,
        directories: Sequence[str],
        *,
        roots: Sequence[str] | None = None,
        known: Container[str] = (),
        enter: Callable[[Sighting], None] | None = None,
        look_at: Look = os.stat,
    ) -> None:
        self._directories = directories
        self._roots = frozenset(directories if roots is None else roots)
        self._waiting = list(reversed(directories))
        self._links: list[str] = []
        self._known = known
        self._is_deep = not known
        self._enter = enter
        self._look_at = look_at
        self._entered: set[tuple[int, int]] = set()
        self._slices = self._walk()
        self.unreadable: dict[str, str] = {}
        self.gone: list[str] = []

    def __iter__(self) -> Iterator[list[Sighting]]:
        return self._slices

    def next(self) -> list[Sighting] | None:
        """The next slice; None at the end."""
        return next(self._slices, None)

    def close(self) -> None:
        """Give up the rest of the walk."""
        self._slices.close()

    def covers(self, path: str) -> bool:
        """Whether this path is listed."""
        if path in self._directories:
            return True
        return self._is_deep and any(
            path.startswith(directory.rstrip(os.sep) + os.sep) for directory in self._directories
        )

    def _walk(self) -> Generator[list[Sighting], None, None]:
        while self._waiting or self._links:
            if not self._waiting:
                self._links.sort(reverse=True)
            path = self._waiting.pop() if self._waiting else self._links.pop()
            try:
                yield from self._list(path)
            except OSError as error:
                self._fail(path, error)
                yield []

    def _list(self, path: str) -> Iterator[list[Sighting]]:
        directory = _sighting(path, self._look_at(path))
        if directory.identity in self._entered:
            return
        self._entered.add(directory.identity)
        if self._enter is not None:
            self._enter(directory)
        until = time.monotonic() + SLICE_SECONDS
        found: list[Sighting] = []
        with os.scandir(path) as entries:
            for entry in entries:
                if (seen := self._see(entry, path)) is not None:
                    found.append(seen)
                if time.monotonic() > until:
                    yield found
                    found, until = [], time.monotonic() + SLICE_SECONDS
        yield found

    def _see(self, entry: os.DirEntry[str], directory: str) -> Sighting | None:
        """The transcript at an entry; a directory is queued."""
        try:
            if entry.is_dir(follow_symlinks=False):
                if entry.path not in self._known:
                    self._waiting.append(entry.path)
                return None
            if is_transcript(entry.name):
                return look(entry.path, self._look_at)
            if entry.is_symlink() and directory in self._roots and entry.name[0] != ".":
                self._follow(entry.path)
        except OSError as error:
            self.unreadable[entry.path] = reason_of(error)
        return None

    def _follow(self, path: str) -> None:
        try:
            if stat.S_ISDIR(self._look_at(path).st_mode) and path not in self._known:
                self._links.append(path)
        except OSError as error:
            if error.errno not in _GONE:
                raise
            self.unreadable[path] = DANGLING

    def _fail(self, path: str, error: OSError) -> None:
        if os.path.islink(path) and error.errno in _GONE:
            self.unreadable[path] = DANGLING
            return
        if error.errno in _GONE:
            self.gone.append(path)
        if error.errno not in _GONE or path in self._roots:
            self.unreadable[path] = reason_of(error)


def reason_of(error: OSError) -> str:
    """The operating system's message, without the path."""
    return error.strerror or str(error)


def unreadable(roots: Sequence[str]) -> dict[str, str]:
    """The paths below the roots that cannot be read, with the reasons; for `verify`.

    Files are opened too, because `verify` must read them.
    """
    listing = Listing(roots)
    found = {}
    for part in listing:
        for seen in part:
            try:
                os.close(os.open(seen.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))
            except OSError as error:
                if error.errno not in _GONE:
                    found[seen.path] = reason_of(error)
    return {**listing.unreadable, **found}


def find_by_inode(directory: str, device: int, inode: int) -> str | None:
    """The path of the file with this inode in this directory, whatever its name."""
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                if as_stored(entry.inode()) == inode and not entry.is_dir(follow_symlinks=False):
                    seen = look(entry.path)
                    if seen and seen.identity == (device, inode):
                        return entry.path
    except OSError:
        return None
    return None


def transcripts_of(roots: Sequence[str], session: str) -> Iterator[Sighting]:
    """The transcripts of a session below the roots, at Claude Code's usual paths."""
    folders = [folder for root in roots for folder in _folders(root)]
    for path in (os.path.join(f, name) for f in folders for name in (session, session.upper())):
        with suppress(OSError):
            if main := look(path + TRANSCRIPT_SUFFIX):
                yield main
        for found in Listing([path]):
            yield from found


def _folders(root: str) -> list[str]:
    try:
        with os.scandir(root) as entries:
            return [entry.path for entry in entries if entry.is_dir()]
    except OSError:
        return []


def main_transcript(path: str, session: str) -> str:
    """The path of a session's main transcript, derived from any file of the session."""
    folders = path.split(os.sep)[:-1]
    at = next((n for n, name in enumerate(folders) if name.lower() == session), None)
    stem = [*folders, session] if at is None else folders[: at + 1]
    return os.sep.join(stem) + TRANSCRIPT_SUFFIX
