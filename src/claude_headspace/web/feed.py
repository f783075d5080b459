"""New events for all open streams: one connection finds out how far the log is final.

The feed's thread follows the log in its safe order. Streams in the event loop read the events that
they lack, each at its own pace; those that lack the same share one query and its encoded events.
Pages need to know only that there are events: for them the data is not read.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from claude_headspace.errors import CursorAhead, HeadspaceError
from claude_headspace.read.connection import ReadPool, only_reads
from claude_headspace.read.events import ListedEvent, events_between, marks_between
from claude_headspace.store.connection import Database
from claude_headspace.store.cursor import Cursor
from claude_headspace.store.follower import Follower
from claude_headspace.store.patience import Patience

PAGE_EVENTS = 100
# So many ids are looked through at once for those that are new.
PAGE_IDS = 10_000
KEPT_PAGES = 4
REST_SECONDS = 1.0
# Reading for streams takes at most a tenth of the time, but no event waits longer than this.
_READ_REST, _LONGEST_REST = 9, 1.0

logger = logging.getLogger("claude_headspace.web")


@dataclass(frozen=True, slots=True)
class EncodedEvent:
    """One event, encoded once for all streams; without data for those that want only ids."""

    id: int
    type: str
    session: str
    project: str
    host: str
    data: bytes = b"{}"


class Feed:
    """What streams share. Only the thread's own methods run outside the event loop."""

    def __init__(self, url: Callable[[], str], pool: ReadPool) -> None:
        self._pool = pool
        self._database = Database(
            url,
            application_name="claude-headspace stream",
            patience=Patience(),
            prepare=only_reads,
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wanted = threading.Event()
        self._pages: dict[tuple[int, int, bool], asyncio.Task[list[EncodedEvent]]] = {}
        self._read_seconds = 0.0
        self.streams = 0
        # Up to here every id is final; None: unknown.
        self.horizon: Cursor | None = None
        # Set as soon as there is another horizon, and then replaced: take it before looking.
        self.changed = asyncio.Event()

    def join(self) -> None:
        """Add a stream; the first one receives events from now on."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            threading.Thread(target=self._work, name="feed", daemon=True).start()
        self.streams += 1
        self._wanted.set()

    def leave(self) -> None:
        """Remove a stream; without streams the log is not read."""
        self.streams -= 1
        if not self.streams:
            self._wanted.clear()

    async def after(self, cursor: int, *, with_data: bool) -> tuple[Sequence[EncodedEvent], int]:
        """The events after this id, and the id up to which they are complete.

        That is the same id if the database does not answer.
        """
        start, end = int(cursor), int(self.horizon or 0)
        if start >= end:
            return (), end
        key = start, end if with_data else min(end, start + PAGE_IDS), with_data
        if key not in self._pages:
            self._pages[key] = asyncio.create_task(asyncio.to_thread(self._read, *key))
            if len(self._pages) > KEPT_PAGES:
                del self._pages[next(iter(self._pages))]
        try:
            found = await asyncio.shield(self._pages[key])
        except HeadspaceError as error:
            if self._pages.pop(key, None):
                logger.warning("streams wait: %s", error)
            return (), start
        return found, found[-1].id if with_data and len(found) == PAGE_EVENTS else key[1]

    def _read(self, cursor: int, horizon: int, with_data: bool) -> list[EncodedEvent]:
        began = time.monotonic()
        with self._pool.reading() as reader:
            if with_data:
                found = [*map(_encoded, events_between(reader, cursor, horizon, PAGE_EVENTS))]
            else:
                found = [EncodedEvent(*mark) for mark in marks_between(reader, cursor, horizon)]
        self._read_seconds += time.monotonic() - began
        return found

    def _work(self) -> None:
        while True:
            self._wanted.wait()
            try:
                self._follow()
            except CursorAhead as error:
                logger.warning("the log was reset: streams continue from its new end: %s", error)
                self._tell(None)
            except Exception as error:  # noqa: BLE001  nobody would start this thread again
                logger.warning("streams wait: %s", error)
                time.sleep(REST_SECONDS)

    def _follow(self) -> None:
        """Tell how far ids are final while there are streams."""
        follower = Follower(self._database, self.horizon or 0, types=())
        follower.listen()
        if self.horizon is None:
            self._tell(follower.skip_to_end())
        while self._wanted.is_set():
            began, horizon = time.monotonic(), follower.read().cursor
            if horizon != self.horizon:
                self._tell(horizon)
                spent, self._read_seconds = self._read_seconds, 0.0
                spent += time.monotonic() - began
                time.sleep(min(_LONGEST_REST, _READ_REST * spent))
            follower.wait(REST_SECONDS)
        self._tell(None)

    def _tell(self, horizon: Cursor | None) -> None:
        async def tell() -> None:
            if horizon is None:
                self._pages.clear()
            if horizon != self.horizon:
                self.horizon = horizon
                self.changed.set()
                self.changed = asyncio.Event()

        assert self._loop is not None  # noqa: S101
        asyncio.run_coroutine_threadsafe(tell(), self._loop).result()


def _encoded(event: ListedEvent) -> EncodedEvent:
    place = event.project or "", event.host or ""
    return EncodedEvent(event.id, event.type, event.session, *place, msgspec.json.encode(event))
