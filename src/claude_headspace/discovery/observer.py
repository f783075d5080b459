"""Reports which paths may have changed on systems without inotify, using watchdog."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Collection

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch

from claude_headspace.discovery.notifier import DOUBT_SECONDS, OF_INTEREST, Changes, Waker

logger = logging.getLogger(__name__)


class TreeNotifier(FileSystemEventHandler):
    """Watches the trees of some directories; ignores all other directories.

    After a fault it watches nothing for a while, and changes are found by scanning.
    """

    def __init__(self, trees: Collection[str], waker: Waker, *, enabled: bool = True) -> None:
        self._trees = trees
        self._waker = waker
        self._enabled = enabled
        self._lock = threading.Lock()
        self._changes = Changes()
        self._observer: BaseObserver | None = None
        self._watches: dict[str, ObservedWatch] = {}
        self._resumes_at = 0.0

    @property
    def complete(self) -> bool:
        """Whether every existing tree is being watched; else scanning finds the rest."""
        return self._observer is not None

    @property
    def in_use(self) -> bool:
        """The same."""
        return self.complete

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Collect the paths, each once, and wake the loop; called in the observer's thread."""
        if event.is_directory and event.event_type == "modified":
            return
        with self._lock:
            for path in (os.fsdecode(path) for path in (event.src_path, event.dest_path) if path):
                if event.is_directory:
                    self._changes.directories[path] = None
                elif OF_INTEREST in path:
                    self._changes.files[path] = None
        self._waker.wake()

    def fileno(self) -> None:
        """None: the waker is called instead."""

    def take(self) -> Changes:
        """The paths that may have changed since the last call."""
        with self._lock:
            taken, self._changes = self._changes, Changes()
        return taken

    def watch(self, directory: str, active_at: int) -> None:
        """Watch the whole tree from now on, if it is one of the given directories."""
        del active_at
        if directory not in self._trees or directory in self._watches or self._observer is None:
            return
        try:
            self._watches[directory] = self._observer.schedule(self, directory, recursive=True)
        except OSError as error:
            self._fail(str(error))

    def discard(self, directory: str) -> None:
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
            self._fail(f"a change of {path} was not reported")

    def renew(self) -> bool:
        """Start if necessary; True if `watch` must be called again for every tree."""
        observer = self._observer
        if observer is not None and not all(
            thread.is_alive() for thread in (observer, *observer.emitters)
        ):
            self._fail("the observer of directories has ended")
        if not self._enabled or self.complete or time.monotonic() < self._resumes_at:
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

    def _fail(self, problem: str) -> None:
        logger.warning("no file notifications (%s): changes are found by scanning", problem)
        self._resumes_at = time.monotonic() + DOUBT_SECONDS
        self.stop()
