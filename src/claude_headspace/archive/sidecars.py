"""Sidecars: files of a session beside its transcripts, such as tool outputs."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress

from claude_headspace.archive.pieces import Archived
from claude_headspace.discovery.listing import is_transcript
from claude_headspace.store.checkpoints import stored_path
from claude_headspace.transcripts.checkpoint import as_stored


def changed_files(folder: str, known: Sequence[Archived]) -> tuple[list[str], list[Archived]]:
    """The files in a session's folder that have changed since they were archived, or are gone."""
    left = {source.path: source for source in known}
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
