"""Steps with files: changed, deleted or replaced ones, and unfinished ones."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from claude_headspace.archive.archiver import Archiver
from claude_headspace.capture.pipeline import Capture, CaptureStep
from claude_headspace.capture.sources import ActiveSource, Sources
from claude_headspace.discovery.listing import look
from claude_headspace.discovery.recent_files import Recent
from claude_headspace.discovery.work_queue import UnreadFile, WorkQueue
from claude_headspace.quarantine import Quarantine
from claude_headspace.transcripts.source_file import SLOW_SECONDS
from claude_headspace.watcher.error_boundary import Boundary
from claude_headspace.watcher.heartbeat import Heartbeat
from claude_headspace.watcher.meter import Meter
from claude_headspace.watcher.unfinished import Unfinished
from claude_headspace.watcher.unread import PATIENT_TRIES

# How long one file of a backlog is read before others have their turn.
TURN_SECONDS = 0.2


@dataclass(eq=False, kw_only=True)
class Reading:
    """Captures files, and updates the work queue.

    `is_called` says whether a file has changed or something else needs the loop.
    """

    sources: Sources
    capture: Capture
    archiver: Archiver
    work_queue: WorkQueue
    recent: Recent
    unfinished: Unfinished
    quarantine: Quarantine[str]
    boundary: Boundary
    heartbeat: Heartbeat
    meter: Meter
    is_called: Callable[[], bool]

    def visit(self, path: str) -> None:
        """Take one step with the file at a path."""
        if self.quarantine.holds(path):
            self.quarantine.nudge(path)
            self.work_queue.put_down()
            return
        found = self.boundary.run(path, lambda: self._step_at(path))
        self.work_queue.put_down()
        if found is False:
            self.work_queue.reopen(path)
            self.recent.forget(path)

    def _step_at(self, path: str) -> bool:
        """Take a step; returns whether there was a file at the path."""
        found = self._open(path)
        if self.sources.detached:
            self.read_detached()
            found = self._open(path)
        for source in found:
            self._advance(source)
        return bool(found)

    def _open(self, path: str) -> list[ActiveSource]:
        with self.heartbeat.doing(f"opening {path}", SLOW_SECONDS):
            return self.sources.open(path)

    def _advance(self, source: ActiveSource) -> None:
        step = self._take_steps(source)
        self.recent.note(source.path)
        self.archiver.note(source.stored.id, source.path)
        if step.more or source.unread != step.unfinished:
            waiting = UnreadFile(source.file.mtime_ns, source.unread)
            self.work_queue.add_backlog(source.path, waiting)
            return
        self.work_queue.finish(source.path, source.stamp)
        self.unfinished.note(source, step)

    def _take_steps(self, source: ActiveSource) -> CaptureStep:
        """Take a step, and more while nothing else calls: so each is read while Postgres works."""
        end = time.monotonic() + TURN_SECONDS
        try:
            while True:
                step = self.capture.step(source, later=True)
                self.meter.read(step, source.file.mtime_ns)
                if not step.more or time.monotonic() >= end or self.is_called():
                    return step
        finally:
            self.capture.finish_writes()

    def read_detached(self) -> None:
        """Read a replaced file to its end, before the file that replaced it."""
        while (source := self.sources.next_detached()) is not None:
            name = f"{source.path} (deleted or replaced)"
            if self.quarantine.holds(name):
                return
            done = self.boundary.run(name, lambda: self._read_to_end(source))
            if done is None and self.quarantine.tries(name) < PATIENT_TRIES:
                return
            self.quarantine.clear(name)
            self.sources.finish_detached()
            self.unfinished.forget(source.path)
            self.work_queue.add_fresh(source.path)

    def _read_to_end(self, source: ActiveSource) -> bool:
        """Read the rest of it, and its last line if that is complete: the file will not grow."""
        more = True
        while more:
            step = self.capture.step(source)
            self.meter.read(step)
            more = step.more
        self._read_end(source)
        self.archiver.drain(source.stored.id, source.file)
        return True

    def read_unfinished(self) -> None:
        """Read last lines that have not changed for long enough."""
        for path, size in self.unfinished.take_due():
            self.boundary.run(path, lambda: self._read_if_still(path, size))  # noqa: B023

    def _read_if_still(self, path: str, size: int) -> bool:
        seen = look(path)
        if seen is None or seen.size != size:
            self.work_queue.add_fresh(path)
            return True
        for source in self._open(path):
            self._read_end(source)
            if not source.unread:
                self.work_queue.finish(path, source.stamp)
        return True

    def _read_end(self, source: ActiveSource) -> None:
        """Read the unfinished end of a file that does not change: a last line, prompts."""
        self.meter.read(self.capture.step_unfinished(source))
        self.meter.read(self.capture.step_waiting_prompts(source))
