"""Which files of this machine have not arrived in the log, the archive and the central log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import msgspec

from claude_headspace.archive.pieces import Pieces
from claude_headspace.archive.session_paths import folder_of, owners
from claude_headspace.archive.sidecars import changed_files
from claude_headspace.config import Config
from claude_headspace.discovery.listing import Listing, Sighting, unreadable
from claude_headspace.events.event import NO_SESSION
from claude_headspace.forwarding.not_forwarded import not_forwarded
from claude_headspace.health.units import counted
from claude_headspace.inbox.messages import inbox_directory, list_messages
from claude_headspace.machine import make_machine_id
from claude_headspace.sessions.log import make_log
from claude_headspace.store.checkpoints import CommittedSource, stored_path
from claude_headspace.store.patience import Patience

APPLICATION_NAME = "claude-headspace drain"
_SHOWN = 5
# After the time in which the watcher waits for the end of a last line.
_TORN_SECONDS = 2.0
_BEHIND = """
SELECT s.path, s.sessions::text[] FROM checkpoints s LEFT JOIN LATERAL (
    SELECT generation, archived, gone_at FROM archive_generations
    WHERE source_id = s.id ORDER BY generation DESC LIMIT 1) g ON true
WHERE s.machine = %s AND s.inode IS NOT NULL AND s.committed_offset > 0 AND g.gone_at IS NULL
AND (g.generation IS NULL OR (g.generation, g.archived) < (s.generation, s.committed_offset))
"""


class LeftBehind:
    """Compares the disk with the logs; no answer is waited for after `ends` (monotonic clock)."""

    def __init__(self, config: Config, ends: float) -> None:
        self._config = config
        self._roots = [str(path) for path in config.claude.projects_path]
        self._machine = make_machine_id(config.state.directory)
        self._ends = ends
        self._log = make_log(config, APPLICATION_NAME, patience=Patience(end=lambda: ends))
        # Files whose last line was never completed, with its bytes.
        self.torn: dict[str, int] = {}
        self.files = 0

    def close(self) -> None:
        """Drop the connection."""
        self._log.database.close()

    def missing(self) -> list[str]:
        """Sentences; none when everything has arrived. Raises DatabaseError."""
        self._log.database.connect()
        self._log.sessions.registrations.reload()
        seen = [each for part in Listing(self._roots) for each in part if each.size]
        self.files = len(seen)
        found = [*self._not_taken(), *_told("is not read to its end", self._unread(seen))]
        if not found and self._config.archive.enabled:
            found = list(_told("is not archived", self._unarchived(seen)))
        if not found:
            found = [*_told("cannot be read", unreadable(self._roots))]
        return found or list(not_forwarded(self._config, self._log.database, self._ends))

    def _not_taken(self) -> Iterator[str]:
        if events := list_messages(inbox_directory(self._config.state.directory)):
            yield f"{counted(len(events), 'event')} of the inbox"
        if asked := self._log.sessions.registrations.waiting():
            yield f"{counted(len(asked), 'session')} to be registered or unregistered"

    def _unread(self, seen: list[Sighting]) -> Iterator[str]:
        known = {source.path: source for source in self._log.checkpoints.committed()}
        self.torn.clear()
        for each in seen:
            source = known.get(stored_path(each.path))
            if source is None or not self._is_read(each, source):
                yield each.path

    def _is_read(self, seen: Sighting, source: CommittedSource) -> bool:
        if source.stamp == seen.stamp:
            return not source.open
        still = time.time() - seen.mtime_ns / 1e9
        left = seen.size - source.size
        if still < self._config.file_watcher.final_line_wait_seconds + _TORN_SECONDS:
            return False
        if not 0 < left <= self._config.file_watcher.max_line_bytes or not _is_torn(seen, source):
            return False
        self.torn[seen.path] = left
        return True

    def _unarchived(self, seen: list[Sighting]) -> Iterator[str]:
        wanted = self._log.sessions.registrations.archived
        for path, sessions in self._log.database.execute(_BEHIND, (self._machine,)):
            whose = owners(path, {UUID(session) for session in sessions}) or {NO_SESSION}
            if any(map(wanted, whose)):
                yield path
        pieces = Pieces(self._log.database)
        for each in seen:
            if (found := folder_of(each.path)) and wanted(found[1]):
                folder, session = found
                yield from changed_files(folder, pieces.sidecars(self._machine, session))[0]


def _is_torn(seen: Sighting, source: CommittedSource) -> bool:
    with suppress(OSError, msgspec.DecodeError), Path(seen.path).open("rb") as file:
        file.seek(source.size)
        tail = file.read()
        if b"\n" in tail:
            return False
        msgspec.json.decode(tail)
        return False
    return True


def _told(what: str, paths: Iterator[str] | dict[str, str]) -> Iterator[str]:
    listed = list(paths)
    yield from (f"{path} {what}" for path in listed[:_SHOWN])
    if len(listed) > _SHOWN:
        yield f"and {counted(len(listed) - _SHOWN, 'other file')}"
