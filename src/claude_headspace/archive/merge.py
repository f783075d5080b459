"""Merges the small pieces of an idle session into large ones, which take less space."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from claude_headspace.archive.pieces import PIECE_BYTES, ArchiveDamaged, Generation, Pieces, opened
from claude_headspace.store.connection import Database
from claude_headspace.transcripts.checkpoint import Checkpoint

logger = logging.getLogger(__name__)

# A file is idle after this time without a write; one with this many small pieces is merged anyway.
RESTING_SECONDS = 300.0
MANY_PIECES = 256
_NEXT = """
SELECT source_id, generation FROM archive_generations
WHERE loose > 1 AND (loose > %s OR updated_at < clock_timestamp() - %s * interval '1 second')
ORDER BY updated_at LIMIT 1
"""
# Only if the pieces are still those that were read: secrets may have been overwritten meanwhile.
_REPLACE = """
WITH same AS (
    SELECT WHERE (SELECT array_agg(digest ORDER BY start) FROM archive_pieces
        WHERE source_id = %(source)s AND generation = %(number)s
        AND start >= %(start)s AND start < %(end)s) = %(digests)s::bytea[]),
kept AS (
    UPDATE archive_pieces SET length = %(length)s, digest = %(digest)s, content = %(content)s
    FROM same WHERE source_id = %(source)s AND generation = %(number)s AND start = %(start)s
    RETURNING 1),
dropped AS (
    DELETE FROM archive_pieces USING kept WHERE source_id = %(source)s
    AND generation = %(number)s AND start > %(start)s AND start < %(end)s)
UPDATE archive_generations SET stored = stored - %(saved)s FROM kept
WHERE source_id = %(source)s AND generation = %(number)s RETURNING 1
"""


class Merge:
    """Merges one group of pieces at a time; `due` says when the next step is due."""

    def __init__(self, database: Database, pieces: Pieces) -> None:
        self._database = database
        self._pieces = pieces
        self.due = 0.0

    def step(self, now: float) -> None:
        """Merge one group of consecutive small pieces, or find that none is left."""
        rows = self._database.execute(_NEXT, (MANY_PIECES, RESTING_SECONDS))
        self.due = now if rows else now + RESTING_SECONDS
        for source_id, number in rows:
            if not self._merge_some(Generation(source_id, number, Checkpoint())):
                self._database.execute(
                    "UPDATE archive_generations SET loose = 0"
                    " WHERE source_id = %s AND generation = %s",
                    (source_id, number),
                )

    def _merge_some(self, of: Generation) -> bool:
        sizes = self._database.execute(
            "SELECT start, length FROM archive_pieces WHERE source_id = %s AND generation = %s"
            " ORDER BY start",
            (of.source_id, of.number),
        )
        group = _first_group((row[0], row[1]) for row in sizes)
        try:
            return len(group) > 1 and self._replace(of, group)
        except ArchiveDamaged as error:
            logger.error("pieces cannot be merged: %s", error)  # noqa: TRY400
            return False

    def _replace(self, of: Generation, group: Sequence[tuple[int, int]]) -> bool:
        start, end = group[0][0], group[-1][0] + group[-1][1]
        rows = self._database.execute(
            "SELECT start, length, digest, content FROM archive_pieces WHERE source_id = %s"
            " AND generation = %s AND start >= %s AND start < %s ORDER BY start",
            (of.source_id, of.number, start, end),
        )
        data = b"".join(opened(of, row) for row in rows)
        if len(data) != end - start:
            return False
        digest, content = self._pieces.compressed(data)
        opened(of, (start, len(data), digest, content))
        values = {
            "source": of.source_id, "number": of.number, "start": start, "end": end,
            "digests": [bytes(row[2]) for row in rows], "length": len(data), "digest": digest,
            "content": content, "saved": sum(len(row[3]) for row in rows) - len(content),
        }  # fmt: skip
        return bool(self._database.execute(self._database.mogrify(_REPLACE, values)))


def _first_group(pieces: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The first run of two or more pieces that fit into one large piece; else fewer."""
    group: list[tuple[int, int]] = []
    for piece in pieces:
        if group and sum(length for _, length in group) + piece[1] > PIECE_BYTES:
            if len(group) > 1:
                break
            group = []
        group.append(piece)
    return group
