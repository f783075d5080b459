"""Finds transcripts below the project directories, whoever created them and whenever."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from claude_headspace.events.position import file_stamp

TRANSCRIPT_SUFFIX = ".jsonl"
# Workflows keep a journal beside their subagents' transcripts; it is none itself.
_NO_TRANSCRIPTS = frozenset({"journal.jsonl"})
# macOS leaves such a file beside a real one on foreign file systems.
_SHADOW = "._"


class Sighting(NamedTuple):
    """A file as it was seen, unopened."""

    path: str
    device: int
    inode: int
    size: int
    mtime_ns: int

    @property
    def stamp(self) -> int:
        """The same while nothing was written to the file and no other took its place."""
        return file_stamp(self.device, self.inode, self.size, self.mtime_ns)


def is_transcript(path: str) -> bool:
    """Whether a file of this name is one of Claude Code's transcripts."""
    name = os.path.basename(path)
    is_shadow = name.startswith(_SHADOW) or name in _NO_TRANSCRIPTS
    return name.endswith(TRANSCRIPT_SUFFIX) and not is_shadow


def look(path: str) -> Sighting | None:
    """The regular file at this path; None where there is none or it cannot be reached."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return Sighting(path, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def look_into(directory: str) -> tuple[list[Sighting], list[str]]:
    """The transcripts in one directory, and its subdirectories; nothing where it is gone."""
    sightings: list[Sighting] = []
    subdirectories: list[str] = []
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    subdirectories.append(entry.path)
                elif is_transcript(entry.name) and (seen := look(entry.path)):
                    sightings.append(seen)
    except OSError:
        return sightings, subdirectories
    return sightings, subdirectories


def find_by_inode(directory: str, device: int, inode: int) -> str | None:
    """The path of a file in this directory that has this inode, whatever its name is now."""
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.inode() == inode and not entry.is_dir(follow_symlinks=False):
                    seen = look(entry.path)
                    if seen and (seen.device, seen.inode) == (device, inode):
                        return entry.path
    except OSError:
        return None
    return None


def sweep(roots: Sequence[str]) -> Iterator[list[Sighting]]:
    """One directory after the other below the roots: what stands in it."""
    waiting = list(roots)
    while waiting:
        sightings, subdirectories = look_into(waiting.pop())
        waiting.extend(subdirectories)
        yield sightings


def unreadable(roots: Sequence[str]) -> dict[str, str]:
    """The folders below the roots that cannot be seen, each with the reason: for `verify`."""
    found: dict[str, str] = {}
    waiting = list(roots)
    while waiting:
        directory = waiting.pop()
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    elif entry.is_symlink() and not os.path.exists(entry.path):
                        found[entry.path] = "a symbolic link to nothing"
        except OSError as error:
            if directory in roots or not isinstance(error, FileNotFoundError):
                found[directory] = error.strerror or str(error)
    return found


def transcripts_of(roots: Sequence[str], session: str) -> Iterator[Sighting]:
    """The transcripts of a session below the roots, where Claude Code keeps and names them so."""
    for root in roots:
        for folder in look_into(root)[1]:
            main = look(os.path.join(folder, session + TRANSCRIPT_SUFFIX))
            if main is not None:
                yield main
            own = os.path.join(folder, session)
            if os.path.isdir(own):
                for sightings in sweep([own]):
                    yield from sightings


def main_transcript(path: str, session: str) -> str:
    """Where Claude Code keeps the main transcript of a session, told by any file of it."""
    directory = os.path.dirname(path)
    head, found, _ = directory.partition(f"{os.sep}{session}{os.sep}")
    return os.path.join(head if found else directory, session + TRANSCRIPT_SUFFIX)
