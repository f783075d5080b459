"""Reports which paths may have changed on systems without inotify, using watchdog."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Collection

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

from claude_headspace.discovery.notifier import DOUBT_SECONDS, OF_INTEREST, Changes, Waker

logger = logging.getLogger(__name__)

_EVENTS: list[type[FileSystemEvent]] = [
    FileModifiedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    FileDeletedEvent,
    DirCreatedEvent,
    DirMovedEvent,
]


class _Collector(FileSystemEventHandler):
    """Runs in the observer's thread; collects paths, each once, and wakes the loop."""

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
            elif OF_INTEREST in path:
                self._changes.files[path] = None

    def take(self) -> Changes:
        with self._lock:
            taken, self._changes = self._changes, Changes()
        return taken


class TreeNotifier:
    """Watches the trees of some directories; ignores all other directories."""

    def __init__(
        self,
        trees: Collection[str],
        waker: Waker,
        *,
        enabled: bool = True,
        doubt_seconds: float = DOUBT_SECONDS,
    ) -> None:
        self._trees = trees
        self._doubt_seconds = doubt_seconds
        self._enabled = enabled
        self._collector = _Collector(waker)
        self._observer: BaseObserver | None = None
        self._watches: dict[str, ObservedWatch] = {}
        self._complaint: str | None = None
        self._doubted_until = 0.0

    @property
    def complete(self) -> bool:
        """Whether every existing tree is being watched; else scanning finds the rest."""
        return self._observer is not None and self._complaint is None

    def fileno(self) -> None:
        """None: the waker is called instead."""

    def take(self) -> Changes:
        """The paths that may have changed since the last call."""
        return self._collector.take()

    def watch(self, directory: str, active_at: int) -> None:
        """Watch the whole tree from now on, if it is one of the given directories."""
        del active_at
        if directory not in self._trees or directory in self._watches or self._observer is None:
            return
        try:
            self._watches[directory] = self._observer.schedule(
                self._collector, directory, recursive=True, event_filter=_EVENTS
            )
        except OSError as error:
            self._complain(str(error))
            self.stop()

    def forget(self, directory: str) -> None:
        """Stop watching this tree."""
        watched = self._watches.pop(directory, None)
        if watched is not None and self._observer is not None:
            self._observer.unschedule(watched)

    def begin_round(self) -> None:
        """Does nothing, because trees are watched as a whole."""

    def end_round(self) -> None:
        """Does nothing, because trees are watched as a whole."""

    def doubt(self, path: str) -> None:
        """A change was found that was not reported; try a new observer after a while."""
        if self.complete:
            self._complain(f"a change of {path} was not reported")

    def renew(self) -> bool:
        """Start if necessary; True if `watch` must be called again for every tree."""
        if self._observer is not None and not self._all_alive(self._observer):
            self._complain("the observer of directories has ended")
        if self._doubted_until and time.monotonic() > self._doubted_until:
            self._complaint, self._doubted_until = None, 0.0
            self.stop()
        if not self._enabled or self._observer is not None or self._doubted_until:
            return False
        self._observer = Observer()
        self._observer.daemon = True
        self._observer.start()
        return True

    def stop(self) -> None:
        """End the observer's threads."""
        observer, self._observer = self._observer, None
        if observer is not None:
            observer.stop()
            if observer.is_alive():
                observer.join(timeout=1)
        self._watches.clear()

    def _all_alive(self, observer: BaseObserver) -> bool:
        return observer.is_alive() and all(emitter.is_alive() for emitter in observer.emitters)

    def _complain(self, problem: str) -> None:
        if self._complaint != problem:
            logger.warning("no file notifications (%s): changes are found by scanning", problem)
        self._complaint = problem
        self._doubted_until = time.monotonic() + self._doubt_seconds
