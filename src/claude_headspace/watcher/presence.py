"""Records in the log that this machine is alive, and its backlog."""

from __future__ import annotations

import time

from claude_headspace.discovery.work_queue import WorkQueue
from claude_headspace.store.connection import Database

BEHIND_SECONDS = 5.0
AT_REST_SECONDS = 60.0


class Presence:
    """For lists of machines, and for ending the sessions of machines that are gone."""

    def __init__(self, database: Database, machine: str, work_queue: WorkQueue) -> None:
        self._database = database
        self._machine = machine
        self._work_queue = work_queue
        self._told = -AT_REST_SECONDS
        self._behind = False

    def tell(self) -> None:
        """Record it if it is time; more often while there is a backlog."""
        now = time.monotonic()
        if now - self._told < BEHIND_SECONDS:
            return
        waiting = self._work_queue.backlog_bytes
        if not (waiting or self._behind) and now - self._told < AT_REST_SECONDS:
            return
        self._told, self._behind = now, waiting > 0
        self._database.execute(
            "UPDATE machines SET seen_at = clock_timestamp(), backlog_bytes = %s,"
            " behind_since = to_timestamp(%s::float8) WHERE id = %s",
            (waiting, self._work_queue.waiting_since, self._machine),
        )
