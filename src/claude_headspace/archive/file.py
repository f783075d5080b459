"""A generation of a file in the archive, which can be read like the file itself."""

from __future__ import annotations

import errno
import os
import stat

from claude_headspace.archive.pieces import ArchiveDamaged, Generation, Pieces
from claude_headspace.transcripts.source_file import SourceFile


class ArchivedFile(SourceFile):
    """The archived file: identity, times and bytes. Holds one piece in memory."""

    def __init__(self, pieces: Pieces, of: Generation, path: str) -> None:
        self._pieces = pieces
        self._of = of
        self._start, self._piece = 0, b""
        super().__init__(path)

    def _open(self) -> os.stat_result:
        p = self._of.checkpoint
        seconds = (p.mtime_ns or 0) // 10**9
        mode = stat.S_IFREG | 0o600
        return os.stat_result(
            (mode, p.inode or 0, p.device or 0, 1, 0, 0, p.offset, seconds, seconds, seconds)
        )

    def _read_at(self, length: int, at: int) -> bytes:
        found = b""
        while (here := at + len(found)) < min(at + length, self._of.checkpoint.offset):
            if not self._start <= here < self._start + len(self._piece):
                self._take_piece(here)
            found += self._piece[here - self._start :][: length - len(found)]
        return found

    def _take_piece(self, at: int) -> None:
        try:
            self._start, self._piece = next(self._pieces.read(self._of, at))
        except ArchiveDamaged as error:
            raise OSError(errno.EIO, str(error)) from error

    def close(self) -> None:
        """Release the piece in memory."""
        self._start, self._piece = 0, b""

    def refresh(self) -> os.stat_result:
        """Does nothing: an archived file does not change."""
        return self.stat

    @property
    def mtime_ns(self) -> int:
        """When the file was last written before it was archived."""
        return self._of.checkpoint.mtime_ns or 0


def archived_file(pieces: Pieces, source_id: int, path: str) -> ArchivedFile | None:
    """The newest generation of a transcript; None if it is not archived.

    Also None if secrets were overwritten, because it then differs from the transcript.
    """
    source = pieces.source(source_id)
    latest = source.latest if source else None
    if source is None or latest is None or latest.number != source.number or latest.redacted:
        return None
    return ArchivedFile(pieces, latest, path) if latest.checkpoint.offset else None


def open_kept(pieces: Pieces, source_id: int | None, path: str) -> SourceFile:
    """A transcript, or its archived copy if the file is gone. Raises OSError."""
    try:
        return SourceFile(path)
    except FileNotFoundError:
        found = source_id and archived_file(pieces, source_id, path)
        if not found:
            raise
        return found
