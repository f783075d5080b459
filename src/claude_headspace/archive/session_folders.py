"""The files of sessions: whose a file is, where it belongs, and which sidecars have changed.

Sidecars are files of a session beside its transcripts, such as tool outputs.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from uuid import UUID

from claude_headspace.archive.pieces import Archived
from claude_headspace.discovery.listing import is_transcript
from claude_headspace.events.event import NO_SESSION
from claude_headspace.store.checkpoints import stored_path
from claude_headspace.transcripts.checkpoint import as_stored

# Claude Code keeps the spelling of `--session-id`, and macOS' uuidgen writes upper-case letters.
_SESSION = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_SUBAGENTS = f"{os.sep}subagents{os.sep}"


def owners(path: str, sessions: Collection[UUID]) -> frozenset[UUID]:
    """The sessions that a transcript belongs to: by its path, else by the sessions of its lines."""
    stems = [part.split(".", 1)[0] for part in path.split(os.sep)]
    named = [UUID(stem) for stem in stems if _SESSION.fullmatch(stem)]
    if not named:
        return frozenset(sessions)
    return frozenset([next((each for each in named if each in sessions), named[-1])])


def is_wanted(sessions: Collection[UUID], wanted: Callable[[UUID], bool]) -> bool:
    """Whether one of a file's owners is wanted; a file without owners is NO_SESSION's."""
    return any(map(wanted, sessions or (NO_SESSION,)))


def folder_of(path: str) -> tuple[str, UUID] | None:
    """The folder of a session's sidecars, from the path of a transcript; None for other files.

    A subagent's transcript is in the folder; the main one may be with another project's.
    """
    around, inside, _ = path.rpartition(_SUBAGENTS)
    stem, extension = (around, inside) if inside else os.path.splitext(path)
    name = os.path.basename(stem)
    return (stem, UUID(name)) if extension and _SESSION.fullmatch(name) else None


def place_below_root(path: str, session: UUID) -> str:
    """The path of a session's file below the folder of all projects."""
    parts = path.split(os.sep)
    own = (n for n, part in enumerate(parts) if part.lower().startswith(str(session)))
    return os.sep.join(parts[max(0, next(own, len(parts) - 1) - 1) :])


def changed_files(folder: str, known: Sequence[Archived]) -> tuple[list[str], list[Archived]]:
    """The files in a session's folder that have changed since they were archived, or are gone."""
    within = stored_path(folder + os.sep)
    left = {source.path: source for source in known if source.path.startswith(within)}
    changed = []
    for path, found in _files(folder):
        source = left.pop(stored_path(path), None)
        if source is None or not _is_archived(source, found):
            changed.append(path)
    gone = [source for source in left.values() if source.latest and not source.latest.gone]
    return changed, gone


def _files(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    for directory, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(directory, name)
            with suppress(OSError):
                found = os.lstat(path)
                if stat.S_ISREG(found.st_mode) and not is_transcript(path):
                    yield path, found


def _is_archived(source: Archived, found: os.stat_result) -> bool:
    if source.latest is None or source.latest.gone:
        return False
    p = source.latest.checkpoint
    seen = (found.st_size, found.st_dev, found.st_ino, found.st_mtime_ns)
    return (p.offset, p.device, p.inode, p.mtime_ns) == (seen[0], *map(as_stored, seen[1:]))
