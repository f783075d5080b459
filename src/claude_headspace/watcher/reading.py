"""Steps with files: what changed, what has gone from its place, and what was left open."""

from __future__ import annotations

from claude_headspace.archive.archiver import Archiver
from claude_headspace.capture.pipeline import Capture
from claude_headspace.capture.sources import ActiveSource, Sources
from claude_headspace.discovery.listing import look
from claude_headspace.discovery.recent import Recent
from claude_headspace.discovery.work_queue import Waiting, WorkQueue
from claude_headspace.quarantine import Quarantine
from claude_headspace.transcripts.tailer import SLOW_SECONDS
from claude_headspace.watcher.boundary import Boundary
from claude_headspace.watcher.heartbeat import Heartbeat
from claude_headspace.watcher.meter import Meter
from claude_headspace.watcher.unfinished import Unfinished
from claude_headspace.watcher.unread import PATIENT_TRIES


class Reading:
    """Has files captured, and tells the work queue what came of it."""

    def __init__(
        self,
        *,
        sources: Sources,
        capture: Capture,
        archiver: Archiver,
        work_queue: WorkQueue,
        recent: Recent,
        unfinished: Unfinished,
        quarantine: Quarantine[str],
        boundary: Boundary,
        heartbeat: Heartbeat,
        meter: Meter,
    ) -> None:
        self._sources = sources
        self._capture = capture
        self._archiver = archiver
        self._work_queue = work_queue
        self._recent = recent
        self._unfinished = unfinished
        self._quarantine = quarantine
        self._boundary = boundary
        self._heartbeat = heartbeat
        self._meter = meter

    def visit(self, path: str) -> None:
        """Take one step with what is at a path."""
        if self._quarantine.holds(path):
            self._quarantine.nudge(path)
            self._work_queue.put_down()
            return
        found = self._boundary.run(path, lambda: self._step_at(path))
        self._work_queue.put_down()
        if found is False:
            self._work_queue.reopen(path)
            self._recent.forget(path)

    def _step_at(self, path: str) -> bool:
        """Whether there was anything at the path."""
        found = self._open(path)
        if self._sources.detached:
            self.read_detached()
            found = self._open(path)
        for source in found:
            self._advance(source)
        return bool(found)

    def _open(self, path: str) -> list[ActiveSource]:
        with self._heartbeat.doing(f"opening {path}", SLOW_SECONDS):
            return self._sources.open(path)

    def _advance(self, source: ActiveSource) -> None:
        step = self._capture.step(source)
        self._meter.read(step)
        self._recent.note(source.path)
        self._archiver.note(source.stored.id, source.path)
        if step.more or source.unread != step.unfinished:
            waiting = Waiting(source.file.mtime_ns, source.unread)
            self._work_queue.add_backlog(source.path, waiting)
            return
        self._work_queue.finish(source.path, source.stamp)
        self._unfinished.note(source, step)

    def read_detached(self) -> None:
        """Read what is gone from its place to its end, before what took the place."""
        while (source := self._sources.next_detached()) is not None:
            name = f"{source.path} (deleted or replaced)"
            if self._quarantine.holds(name):
                return
            done = self._boundary.run(name, lambda: self._read_to_end(source))
            if done is None and self._quarantine.tries(name) < PATIENT_TRIES:
                return
            self._quarantine.clear(name)
            self._sources.finish_detached()
            self._unfinished.forget(source.path)
            self._work_queue.add_fresh(source.path)

    def _read_to_end(self, source: ActiveSource) -> bool:
        """Everything in it, its last line too if that is whole: no more will come."""
        more = True
        while more:
            step = self._capture.step(source)
            self._meter.read(step)
            more = step.more
        self._take_end(source)
        self._archiver.drain(source.stored.id, source.file)
        return True

    def take_unfinished(self) -> None:
        """Take last lines that have been still for long enough."""
        for path, size in self._unfinished.take_due():
            self._boundary.run(path, lambda: self._take_if_still(path, size))  # noqa: B023

    def _take_if_still(self, path: str, size: int) -> bool:
        seen = look(path)
        if seen is None or seen.size != size:
            self._work_queue.add_fresh(path)
            return True
        for source in self._open(path):
            self._take_end(source)
            if not source.unread:
                self._work_queue.finish(path, source.stamp)
        return True

    def _take_end(self, source: ActiveSource) -> None:
        """What stands open at the end of a file that is still: a last line, prompts."""
        self._meter.read(self._capture.step_unfinished(source))
        self._meter.read(self._capture.step_untold(source))
