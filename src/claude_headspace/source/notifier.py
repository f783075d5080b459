"""Tells which paths may have changed. A hint: a rescan finds what it misses."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch

logger = logging.getLogger(__name__)

DOUBT_SECONDS = 600.0

# In the names of transcripts, renamed ones too, and of the inbox's files.
_OF_INTEREST = ".json"

_EVENTS: list[type[FileSystemEvent]] = [
    FileModifiedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    FileDeletedEvent,
    DirCreatedEvent,
    DirMovedEvent,
]


class Waker:
    """Lets any thread, or a signal handler, end the loop's wait."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)

    def fileno(self) -> int:
        """Readable once somebody has called."""
        return self._reader

    def wake(self) -> None:
        """End the wait that is under way, or the next one."""
        try:
            os.write(self._writer, b".")
        except BlockingIOError:
            return  # it is full of calls already

    def clear(self) -> None:
        """Forget all calls."""
        try:
            while os.read(self._reader, 4096):
                pass
        except BlockingIOError:
            return


@dataclass(slots=True)
class Changes:
    """Paths that may have changed since they were last taken."""

    files: dict[str, None] = field(default_factory=dict)
    directories: dict[str, None] = field(default_factory=dict)


class _Collector(FileSystemEventHandler):
    """Runs in the observer's thread; keeps paths, each once, and wakes the loop."""

    def __init__(self, waker: Waker) -> None:
        self._waker = waker
        self._lock = threading.Lock()
        self._changes = Changes()

    def on_any_event(self, event: FileSystemEvent) -> None:
        for path in (event.src_path, event.dest_path):
            if path:
                self._note(os.fsdecode(path), event.is_directory)
        self._waker.wake()

    def _note(self, path: str, is_directory: bool) -> None:
        with self._lock:
            if is_directory:
                self._changes.directories[path] = None
            elif _OF_INTEREST in path:
                self._changes.files[path] = None

    def take(self) -> Changes:
        with self._lock:
            taken, self._changes = self._changes, Changes()
        return taken


class Notifier:
    """Watches directories that may come, go and come again."""

    def __init__(
        self,
        roots: Sequence[str],
        waker: Waker,
        *,
        enabled: bool = True,
        doubt_seconds: float = DOUBT_SECONDS,
    ) -> None:
        self._roots = roots
        self._doubt_seconds = doubt_seconds
        self._enabled = enabled
        self._collector = _Collector(waker)
        self._observer: BaseObserver | None = None
        self._watches: dict[str, tuple[ObservedWatch, tuple[int, int]]] = {}
        self._complaint: str | None = None
        self._doubted_until = 0.0

    @property
    def complete(self) -> bool:
        """Whether every directory that exists is being watched; polling does the rest."""
        return self._enabled and self._complaint is None

    def take(self) -> Changes:
        """What may have changed since the last call."""
        return self._collector.take()

    def doubt(self, path: str) -> None:
        """A change was found that had not been notified; a new observer is tried after a while.

        The observer does not tell when a directory that it finds later cannot be watched any more.
        """
        if self.complete:
            self._complain(f"a change of {path} was not notified")
            self._doubted_until = time.monotonic() + self._doubt_seconds

    def renew(self) -> list[str]:
        """Watch the roots that have appeared or were replaced; returns those newly watched."""
        if not self._enabled:
            return []
        if self._doubted_until and time.monotonic() > self._doubted_until:
            self._doubted_until = 0.0
            self.stop()
        if self._observer is not None and not self._all_alive(self._observer):
            self._start_over()
        return [root for root in self._roots if self._renew_root(root)]

    def stop(self) -> None:
        """End the observer's threads."""
        if self._observer is not None:
            self._observer.stop()
            if self._observer.is_alive():
                self._observer.join(timeout=1)
            self._observer = None
        self._watches.clear()

    def _all_alive(self, observer: BaseObserver) -> bool:
        return observer.is_alive() and all(emitter.is_alive() for emitter in observer.emitters)

    def _start_over(self) -> None:
        self._complain("the observer of directories has ended")
        self.stop()

    def _renew_root(self, root: str) -> bool:
        try:
            found = os.stat(root)
        except OSError:
            self._forget(root)
            return False
        identity = (found.st_dev, found.st_ino)
        if root in self._watches and self._watches[root][1] == identity:
            return False
        self._forget(root)
        return self._watch(root, identity)

    def _watch(self, root: str, identity: tuple[int, int]) -> bool:
        try:
            observer = self._running_observer()
            watch = observer.schedule(self._collector, root, recursive=True, event_filter=_EVENTS)
        except OSError as error:
            self._complain(str(error))
            self.stop()
            return False
        self._watches[root] = (watch, identity)
        if self._complaint and not self._doubted_until:
            logger.info("notifications of changes work again")
            self._complaint = None
        return True

    def _running_observer(self) -> BaseObserver:
        if self._observer is None:
            observer = Observer()
            observer.daemon = True
            observer.start()
            self._observer = observer
        return self._observer

    def _forget(self, root: str) -> None:
        watched = self._watches.pop(root, None)
        if watched and self._observer is not None:
            self._observer.unschedule(watched[0])

    def _complain(self, problem: str) -> None:
        if self._complaint != problem:
            logger.warning(
                "changes of files are not notified (%s): they are found by looking, within the"
                " rescan interval; on Linux raise fs.inotify.max_user_watches or"
                " max_user_instances",
                problem,
            )
        self._complaint = problem
