"""This machine in the log: its lease, checked before a connection is used, and its presence."""

from __future__ import annotations

import time
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

import msgspec

from claude_headspace.discovery.work_queue import WorkQueue
from claude_headspace.errors import DatabaseUnavailable, StateCopied
from claude_headspace.machine import MACHINE_FILE, Holder, renew_machine_id
from claude_headspace.store.connection import Database
from claude_headspace.store.leases import TAKE_LEASE
from claude_headspace.store.sessions import REGISTRATION_CHANNEL
from claude_headspace.store.version import require_schema

APPLICATION_NAME = "claude-headspace watcher"
# A server notices within a minute that a client vanished; until then it may be our predecessor.
COPY_SECONDS = 120.0
BEHIND_SECONDS = 5.0
AT_REST_SECONDS = 60.0


class Lease:
    """The lease of a machine, held by one connection for as long as it lasts."""

    def __init__(
        self, state: Path, machine: str, label: str, copy_seconds: float = COPY_SECONDS
    ) -> None:
        self._state = state
        self._machine = machine
        self._label = label
        self._copy_seconds = copy_seconds
        self.holder = Holder.here(state)
        self._refused_since: float | None = None
        # Read at the start: at a reconnection, perhaps not one file can be opened.
        self._version = version("claude-headspace")

    def take(self, database: Database) -> None:
        """Raises DatabaseUnavailable while the schema does not fit or another watcher runs.

        StateCopied if this state directory is a copy of that watcher's; it then has a new id.
        """
        require_schema(database)
        rows = database.execute(TAKE_LEASE, (self._machine,))
        if not rows[0][0]:
            self._wait_or_part(database)
        self._refused_since = None
        database.execute_durably(
            "INSERT INTO machines (id, label, version, holder, seen_at)"
            " VALUES (%s, %s, %s, %s, clock_timestamp()) ON CONFLICT (id) DO UPDATE SET"
            " label = excluded.label, version = excluded.version, holder = excluded.holder,"
            " seen_at = excluded.seen_at",
            (
                self._machine, self._label, self._version,
                msgspec.json.encode(self.holder).decode(),
            ),
        )  # fmt: skip
        database.execute(f"LISTEN {REGISTRATION_CHANNEL}")

    def _wait_or_part(self, database: Database) -> NoReturn:
        """Another watcher holds the lease: wait for its end, or take a new id if this is a copy."""
        now = time.monotonic()
        self._refused_since = self._refused_since or now
        rows = database.execute("SELECT holder FROM machines WHERE id = %s", (self._machine,))
        other = msgspec.convert(rows[0][0], Holder) if rows and rows[0][0] else self.holder
        told = f"another watcher works for machine {self._machine[:8]} ({self._label})"
        if other == self.holder:
            raise DatabaseUnavailable(f"{told} on this database: waiting")
        told += f", on {other.hostname} in {other.directory}"
        if not self.holder.is_apart_from(other):
            raise DatabaseUnavailable(
                f"{told}, which looks like this state directory: waiting. If one is a copy of the"
                f" other, remove {self._state / MACHINE_FILE} here and start again"
            )
        if now - self._refused_since < self._copy_seconds:
            raise DatabaseUnavailable(
                f"{told}; {self._state} is a copy of its state directory, or vice versa: waiting"
                f" {self._copy_seconds:.0f} s for the other to end"
            )
        fresh = renew_machine_id(self._state)
        raise StateCopied(
            f"{told}, and {self._state} is a copy of its state directory: it is machine"
            f" {fresh[:8]} from now on, and reads its transcripts as that after the next start"
        )


class Presence:
    """Records that this machine is alive, and its backlog.

    For lists of machines, and for ending the sessions of machines that are gone.
    """

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
