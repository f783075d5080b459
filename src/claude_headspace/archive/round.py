"""Goes through all captured files to find what is not archived yet."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from claude_headspace.archive.session_folders import folder_of
from claude_headspace.store.connection import Database, Row

ROUND_SECONDS = 3600.0
RETRY_SECONDS = 60.0
_PAGE = 500
# How long one step may take.
_LOOK_SECONDS = 0.002
# Oldest first, because Claude Code deletes those first.
_BEHIND = """
SELECT s.id, s.path, coalesce(s.mtime_ns, 0), g.gone_at IS NULL, g.source_id IS NULL OR (
    (g.gone_at IS NULL OR s.updated_at > g.gone_at) AND (
    g.generation < s.generation OR g.archived < s.committed_offset
    OR (g.archived = s.committed_offset AND g.checksum <> s.checksum)
    OR (g.device, g.inode, g.mtime_ns) IS DISTINCT FROM (s.device, s.inode, s.mtime_ns)))
FROM checkpoints s LEFT JOIN LATERAL (
    SELECT * FROM archive_generations WHERE source_id = s.id ORDER BY generation DESC LIMIT 1
) g ON true
WHERE s.machine = %s AND s.inode IS NOT NULL AND (coalesce(s.mtime_ns, 0), s.id) > (%s, %s)
ORDER BY coalesce(s.mtime_ns, 0), s.id LIMIT %s
"""
_BEFORE_ALL = (-(2**63), 0)


@dataclass(eq=False)
class Round:
    """One round at the start, and then one an hour; `due` says when the next step is due."""

    database: Database
    machine: str | None
    behind: Callable[[int, str], None]
    folder: Callable[[str, UUID], None]
    due: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self._page: deque[Row] = deque()
        self.begin()

    def follow(self) -> None:
        """Start another round after this one, because something was left to it."""
        self._again = True
        if self._last == _BEFORE_ALL:
            self.due = min(self.due, time.monotonic())

    def begin(self) -> None:
        """Start from the first file."""
        self._again = False
        self._page.clear()
        self._last = _BEFORE_ALL
        self.due = 0.0

    def step(self, now: float, *, failed: bool) -> None:
        """Look at some files; report one that is behind, or a session's folder."""
        if self._page:
            self._look(now)
            return
        self._page.extend(self.database.execute(_BEHIND, (self.machine, *self._last, _PAGE)))
        if self._page:
            self._last = (self._page[-1][2], self._page[-1][0])
            self.due = 0.0
        else:
            wait = 0.0 if self._again else RETRY_SECONDS if failed else ROUND_SECONDS
            self.begin()
            self.due = now + wait

    def _look(self, now: float) -> None:
        while self._page and time.monotonic() - now < _LOOK_SECONDS:
            source_id, path, _, is_here, is_behind = self._page.popleft()
            if is_here and (folder := folder_of(path)) and os.path.isdir(folder[0]):
                self.folder(*folder)
            if is_behind or (is_here and not os.path.exists(path)):
                self.behind(source_id, path)
                return
