"""Steps with files: changed, deleted, replaced or unfinished ones, and those to read again."""

from __future__ import annotations

import os
import time

from claude_headspace.capture.pipeline import CaptureStep
from claude_headspace.capture.sources import ActiveSource
from claude_headspace.discovery.listing import look
from claude_headspace.discovery.work_queue import UnreadFile
from claude_headspace.store.checkpoints import stored_path
from claude_headspace.store.sessions import REGISTRATION_CHANNEL
from claude_headspace.transcripts.source_file import SLOW_SECONDS
from claude_headspace.watcher.assembly import Parts
from claude_headspace.watcher.unread import PATIENT_TRIES

# How long one file of a backlog is read before others go on.
SLICE_SECONDS = 0.2
REGISTRATIONS = "session registrations"


class Reading:
    """Captures files, and updates the work queue."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._sources = parts.sources
        self._capture = parts.capture
        self._archiver = parts.archiver
        self._work_queue = parts.work_queue
        self._unfinished = parts.unfinished
        self._quarantine = parts.quarantine
        self._boundary = parts.boundary
        self._meter = parts.meter

    def visit(self, path: str) -> None:
        """Take one step with the file at a path."""
        if self._quarantine.holds(path):
            self._quarantine.nudge(path)
            self._work_queue.put_down()
            return
        found = self._boundary.run(path, lambda: self._step_at(path))
        self._work_queue.put_down()
        if found is False:
            self._work_queue.reopen(path)
            self._parts.scanner.recent.discard(path)

    def _step_at(self, path: str) -> bool:
        """Take a step; returns whether there was a file at the path."""
        found = self._open(path)
        if self._sources.detached:
            self.read_detached()
            found = self._open(path)
        for source in found:
            self._advance(source)
        return bool(found)

    def _open(self, path: str) -> list[ActiveSource]:
        with self._parts.heartbeat.doing(f"opening {path}", SLOW_SECONDS):
            return self._sources.open(path)

    def _advance(self, source: ActiveSource) -> None:
        step = self._take_steps(source)
        self._parts.scanner.recent.note(source.path)
        self._archiver.note(source.stored.id, source.path)
        if step.more or source.unread != step.unfinished:
            waiting = UnreadFile(source.file.mtime_ns, source.unread)
            self._work_queue.add_backlog(source.path, waiting)
            return
        self._work_queue.finish(source.path, source.stamp)
        self._unfinished.note(source, step)

    def _take_steps(self, source: ActiveSource) -> CaptureStep:
        """Take a step, and more while nothing else calls: so each is read while Postgres works."""
        end = time.monotonic() + SLICE_SECONDS
        try:
            while True:
                step = self._capture.step(source, later=True)
                self._meter.read(step, source.file.mtime_ns)
                if not step.more or time.monotonic() >= end or self._parts.is_called():
                    return step
        finally:
            self._capture.finish_writes()

    def read_detached(self) -> None:
        """Read a replaced file to its end, before the file that replaced it."""
        while (source := self._sources.next_detached()) is not None:
            name = f"{source.path} (deleted or replaced)"
            if self._quarantine.holds(name):
                return
            done = self._boundary.run(name, lambda: self._read_to_end(source))
            if done is None and self._quarantine.tries(name) < PATIENT_TRIES:
                return
            self._quarantine.release(name)
            self._sources.finish_detached()
            self._unfinished.discard(source.path)
            self._work_queue.add_fresh(source.path)

    def _read_to_end(self, source: ActiveSource) -> bool:
        """Read the rest of it, and its last line if that is complete: the file will not grow."""
        more = True
        while more:
            step = self._capture.step(source)
            self._meter.read(step)
            more = step.more
        self._read_end(source)
        self._archiver.drain(source.stored.id, source.file)
        return True

    def read_unfinished(self) -> None:
        """Read last lines that have not changed for long enough."""
        for path, size in self._unfinished.take_due():
            self._boundary.run(path, lambda: self._read_if_still(path, size))  # noqa: B023

    def _read_if_still(self, path: str, size: int) -> None:
        seen = look(path)
        if seen is None or seen.size != size:
            self._work_queue.add_fresh(path)
            return
        for source in self._open(path):
            self._read_end(source)
            if not source.unread:
                self._work_queue.finish(path, source.stamp)

    def _read_end(self, source: ActiveSource) -> None:
        """Read the unfinished end of a file that does not change: a last line, prompts."""
        self._meter.read(self._capture.step_unfinished(source))
        self._meter.read(self._capture.step_waiting_prompts(source))

    def apply_new_registrations(self) -> None:
        """Apply registrations when notified, or when a failed one is due again."""
        notified = REGISTRATION_CHANNEL in self._parts.log.database.notified()
        failed = REGISTRATIONS in self._boundary.put_off
        if notified or failed or self._parts.timeouts.retries_registrations:
            self.apply_registrations()

    def apply_registrations(self) -> None:
        """Apply all registrations: newly registered sessions are read from their first byte."""
        self._boundary.run_when_due(REGISTRATIONS, self._rewind)

    def _rewind(self) -> None:
        paths = set(self._parts.timeouts.apply_registrations())
        if not paths:
            return
        self._sources.reload()
        if not all(os.access(path, os.F_OK) for path in paths):
            # The stored path may differ from the file's path: see `stored_path`.
            paths.update(p for p in self._work_queue.finished() if stored_path(p) in paths)
        for path in paths:
            self._work_queue.reopen(path)
            self._work_queue.add_fresh(path)
