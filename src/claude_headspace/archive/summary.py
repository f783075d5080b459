"""Size and backlog of the archive, and what Claude Code will delete."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

# A file's newest generation says whether the file still exists and is archived completely.
_SUMMARY = text("""
WITH unwanted AS (SELECT ARRAY(SELECT session_uuid FROM tombstones
    UNION SELECT session_uuid FROM registrations WHERE NOT wanted) AS sessions),
files AS (
    SELECT s.id, s.path, s.sessions, s.committed_offset, s.mtime_ns, g.archived, g.gone_at
    FROM unwanted, checkpoints s LEFT JOIN LATERAL (
        SELECT archived, gone_at FROM archive_generations
        WHERE source_id = s.id ORDER BY generation DESC LIMIT 1) g ON true
    WHERE s.inode IS NOT NULL AND s.machine = :machine AND NOT s.sessions && unwanted.sessions),
behind AS (SELECT * FROM files WHERE gone_at IS NULL AND coalesce(archived, 0) < committed_offset),
lost AS (SELECT * FROM files WHERE gone_at IS NOT NULL AND coalesce(archived, 0) < committed_offset)
SELECT (SELECT count(*) FROM archive_generations WHERE archived > 0),
    (SELECT coalesce(sum(archived), 0)::bigint FROM archive_generations),
    (SELECT coalesce(sum(stored), 0)::bigint FROM archive_generations),
    (SELECT count(*) FROM archive_generations WHERE redacted),
    (SELECT count(*) FROM behind),
    (SELECT count(DISTINCT session) FROM behind, unnest(sessions) session),
    (SELECT coalesce(sum(committed_offset - coalesce(archived, 0)), 0)::bigint FROM behind),
    (SELECT count(DISTINCT session) FROM lost, unnest(sessions) session),
    (SELECT count(DISTINCT session) FROM files, unnest(sessions) session WHERE archived > 0
        AND gone_at IS NOT NULL AND strpos(lower(path), session::text) > 0),
    (SELECT to_timestamp(min(mtime_ns) / 1e9) FROM files WHERE gone_at IS NULL)
""")


@dataclass(frozen=True, slots=True)
class ArchiveSummary:
    """`bytes` of files take `stored` bytes. `behind`: on disk, but not archived completely.

    `only_in_log`: sessions with deleted files that were never archived; `only_archived`:
    sessions whose transcript is gone and can be restored. `oldest`: the last change of the oldest
    transcript on disk.
    """

    generations: int
    bytes: int
    stored: int
    redacted: int
    behind_files: int
    behind_sessions: int
    behind_bytes: int
    only_in_log: int
    only_archived: int
    oldest: datetime | None


def archive_summary(connection: Connection, machine: str | None) -> ArchiveSummary:
    """A summary of the whole archive; backlog, deleted and old files are this machine's."""
    return ArchiveSummary(*connection.execute(_SUMMARY, {"machine": machine}).one())
