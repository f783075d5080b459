"""Verifies the archive: every piece by its digest, every file by its bytes on disk."""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO
from uuid import UUID

from claude_headspace.archive.pieces import ArchiveDamaged, Generation, Pieces
from claude_headspace.archive.session_folders import is_wanted, owners
from claude_headspace.store.connection import Database

# Newer bytes may still be on their way into the archive.
_RECENT_SECONDS = 60.0
_FILES = """
SELECT id, path, sessions::text[] FROM (
    SELECT id, machine, path, sessions FROM checkpoints WHERE inode IS NOT NULL
    UNION ALL SELECT id, machine, path, ARRAY[session_uuid] FROM sidecars) f
WHERE machine = %s AND id > %s ORDER BY id LIMIT 500
"""


@dataclass(slots=True)
class Proven:
    """The result for one file. `unarchived`: bytes on disk that are not archived.

    `problem`: where the archive differs from the disk or from its digests.
    """

    path: str
    bytes: int = 0
    unarchived: int = 0
    problem: str | None = None


def proven_files(
    database: Database, machine: str | None, only: UUID | None, wanted: Callable[[UUID], bool]
) -> Iterator[Proven]:
    """Every file of this machine, or of one session, with all its generations.

    `wanted`: whether a session is to be archived.
    """
    pieces = Pieces(database)
    last = -(2**31)
    while rows := database.execute(_FILES, (machine, last)):
        last = rows[-1][0]
        for source_id, path, sessions in rows:
            whose = owners(path, {UUID(session) for session in sessions})
            if only is None or only in whose:
                found = _prove(pieces, source_id, path)
                if not is_wanted(whose, wanted):
                    found.unarchived = 0
                yield found


def _prove(pieces: Pieces, source_id: int, path: str) -> Proven:
    found = Proven(path)
    generations = pieces.generations(source_id)
    try:
        for generation in generations[:-1]:
            _compare(pieces, generation, found, None)
        if generations:
            _with_disk(pieces, generations[-1], found)
        else:
            with suppress(OSError):
                found.unarchived = os.stat(path).st_size
    except ArchiveDamaged as error:
        found.problem = str(error)
    return found


def _with_disk(pieces: Pieces, of: Generation, found: Proven) -> None:
    try:
        with open(found.path, "rb") as file:
            found.unarchived = max(0, os.fstat(file.fileno()).st_size - of.checkpoint.offset)
            _compare(pieces, of, found, file)
            recent = abs(time.time() - os.fstat(file.fileno()).st_mtime) < _RECENT_SECONDS
    except OSError:
        _compare(pieces, of, found, None)
        return
    if recent:
        found.problem = None


def _compare(pieces: Pieces, of: Generation, found: Proven, file: BinaryIO | None) -> None:
    """Read a generation, and compare it with the file unless secrets were overwritten."""
    checksum = 0
    for start, data in pieces.read(of):
        found.bytes += len(data)
        checksum = zlib.crc32(data, checksum)
        if file is not None and not of.redacted and file.read(len(data)) != data:
            found.problem = found.problem or f"the file and the archive differ after byte {start}"
    if checksum != of.checkpoint.checksum and not of.redacted:
        found.problem = f"generation {of.number} differs from what was read"
