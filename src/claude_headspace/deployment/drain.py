"""Waits until everything on this machine has arrived: for machines that go away, as CI jobs do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from uuid import UUID

import msgspec

from claude_headspace.archive.pieces import Pieces
from claude_headspace.archive.session_folders import changed_files, folder_of, is_wanted, owners
from claude_headspace.config import CONFIG_VARIABLE, Config
from claude_headspace.deployment.configuration import prepare
from claude_headspace.deployment.stop import is_up
from claude_headspace.discovery.listing import Listing, Sighting, unreadable
from claude_headspace.embedded import binaries
from claude_headspace.errors import AlreadyRunning, DatabaseError
from claude_headspace.forwarding.not_forwarded import not_forwarded
from claude_headspace.health.status_file import BAD_CONFIGURATION_STATUS
from claude_headspace.health.units import counted
from claude_headspace.inbox.messages import inbox_directory, list_messages
from claude_headspace.machine import make_machine_id
from claude_headspace.sessions.log import make_log
from claude_headspace.store.checkpoints import CommittedSource, stored_path
from claude_headspace.store.patience import Patience

LOOK_SECONDS = 0.2
# The last check may take this long.
GRACE_SECONDS = 5.0
# In the order in which they are started; the first is stopped last.
MODULES = {
    "postgres": "embedded",
    "migrate": "migrate",
    "watcher": "watcher",
    "forwarder": "forwarding",
}
# A check of a large history is slow: leave most of the time to the watcher.
_REST = 4.0
STOP_SECONDS = 10.0
# Running, done, done by another process, or impossible: not started again.
_ENDED_FOR_GOOD = (None, 0, AlreadyRunning.exit_status, BAD_CONFIGURATION_STATUS)
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


class ProgramRun:
    """One of the programs that supervisord usually runs; it dies with this process."""

    def __init__(self, name: str, logs: Path) -> None:
        self._command = [sys.executable, "-I", "-m", f"claude_headspace.{MODULES[name]}"]
        self._log = logs / f"{name}.log"
        self._stop_signal = signal.SIGINT if name == "postgres" else signal.SIGTERM
        self._process = self._started()

    def _started(self) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "SUPERVISOR_ENABLED": "1"}
        with self._log.open("ab") as log:
            return subprocess.Popen(self._command, env=environment, stdout=log, stderr=log)

    def keep(self) -> None:
        """Start it again after a crash."""
        if self._process.poll() not in _ENDED_FOR_GOOD:
            self._process = self._started()

    def stop(self) -> None:
        """As supervisord would."""
        self._process.send_signal(self._stop_signal)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS)
        self._process.kill()
        self._process.wait()


def drain(config: Config, seconds: float) -> tuple[LeftBehind, list[str]]:
    """Wait until everything has arrived, or until the time is up; returns what is missing, too.

    If no instance runs, the programs that are needed run meanwhile.
    """
    ends = time.monotonic() + seconds
    with ExitStack() as stack:
        programs = [] if is_up(config) else stack.enter_context(_running(config))
        left = stack.enter_context(closing(LeftBehind(config, ends + GRACE_SECONDS)))
        while (missing := _missing(left)) and time.monotonic() < ends:
            for program in programs:
                program.keep()
            time.sleep(min(LOOK_SECONDS, max(0.0, ends - time.monotonic())))
    return left, missing


def _missing(left: LeftBehind) -> list[str]:
    began = time.monotonic()
    try:
        return left.missing()
    except DatabaseError as error:
        return [f"the log does not answer: {error}"]
    finally:
        time.sleep(min(_REST * (time.monotonic() - began), 10.0))


@contextmanager
def _running(config: Config) -> Iterator[list[ProgramRun]]:
    prepare(config.state.directory)
    if config.path is not None:
        os.environ[CONFIG_VARIABLE] = str(config.path)
    needed = {**MODULES}
    if config.database.url:
        del needed["postgres"]
    else:
        binaries.installed()
    if config.forward.url is None:
        del needed["forwarder"]
    with ExitStack() as stack:
        programs = [ProgramRun(name, config.state.directory / "log") for name in needed]
        for program in programs:
            stack.callback(program.stop)
        yield programs


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
        still = abs(time.time() - seen.mtime_ns / 1e9)
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
            if is_wanted(owners(path, {UUID(session) for session in sessions}), wanted):
                yield path
        pieces = Pieces(self._log.database)
        for folder, session in filter(None, {folder_of(each.path) for each in seen}):
            if wanted(session):
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
