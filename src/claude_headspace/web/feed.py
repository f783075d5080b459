"""New events for all open streams: one connection listens, and the newest are held encoded.

The feed's thread reads the log in its safe order. Streams in the event loop take the events that
they lack, each at its own pace. A stream that is further behind than the feed remembers reads the
log.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import msgspec

from claude_headspace.errors import CursorAhead, HeadspaceError
from claude_headspace.read.connection import ReadPool, only_reads
from claude_headspace.read.events import ListedEvent, events_between
from claude_headspace.store.connection import Database
from claude_headspace.store.cursor import Cursor
from claude_headspace.store.follow import Follower
from claude_headspace.store.patience import Patience

REMEMBERED_EVENTS = 500
REMEMBERED_BYTES = 4_000_000
PAGE_EVENTS = 100
_REST_SECONDS = 1.0

log = logging.getLogger("claude_headspace.web")


@dataclass(frozen=True, slots=True)
class EncodedEvent:
    """One event, encoded once for all streams."""

    id: int
    type: str
    session: str
    project: str
    host: str
    data: bytes


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
        self._lines: deque[EncodedEvent] = deque()
        self._bytes = 0
        self._begins = 0
        self._streams = 0
        # Counts how often a first stream has joined.
        self._round = 0
        self._changed = asyncio.Event()
        # Up to here every id is final, and every event was handed on; None: unknown.
        self.horizon: Cursor | None = None

    @property
    def streams(self) -> int:
        """How many streams are open."""
        return self._streams

    def join(self) -> None:
        """Add a stream; the first one receives events from now on."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            threading.Thread(target=self._work, name="feed", daemon=True).start()
        if not self._streams:
            self._round += 1
            self._forget(self._round, None)
        self._streams += 1
        self._wanted.set()

    def leave(self) -> None:
        """Remove a stream; without streams the log is not read."""
        self._streams -= 1
        if not self._streams:
            self._wanted.clear()

    @property
    def changed(self) -> asyncio.Event:
        """Set as soon as there are new events or another horizon; take it before looking."""
        return self._changed

    async def after(self, cursor: int) -> tuple[Sequence[EncodedEvent], int]:
        """The events after this id, and the id up to which they are complete."""
        horizon = self.horizon or 0
        if cursor >= self._begins:
            return [line for line in self._lines if line.id > cursor], horizon
        found = await asyncio.to_thread(self._read, cursor, horizon)
        return found, found[-1].id if len(found) == PAGE_EVENTS else horizon

    def _read(self, cursor: int, horizon: int) -> list[EncodedEvent]:
        with self._pool.reading() as reader:
            return list(map(_line, events_between(reader, cursor, horizon, PAGE_EVENTS)))

    def _work(self) -> None:
        while True:
            self._wanted.wait()
            this = self._round
            try:
                self._follow(this)
            except CursorAhead as error:
                log.warning("the log was reset: streams continue from its new end: %s", error)
                self._tell(self._forget, this, None)
            except HeadspaceError as error:
                log.warning("streams wait: %s", error)
                time.sleep(_REST_SECONDS)

    def _follow(self, this: int) -> None:
        """Hand on final events while there are streams."""
        # Without types the follower only finds out how far ids are final.
        follower = Follower(self._database, self.horizon or 0, types=())
        follower.listen()
        if self.horizon is None:
            self._tell(self._forget, this, follower.skip_to_end())
        done = follower.cursor
        while self._wanted.is_set() and self._round == this:
            final = follower.read().cursor
            while done < final:
                lines = self._read(done, final)
                done = lines[-1].id if len(lines) == PAGE_EVENTS else final
                self._tell(self._remember, this, lines, Cursor.at(done, follower.timeline))
            follower.wait(_REST_SECONDS)

    def _tell(self, act: Callable[..., None], *values: object) -> None:
        async def call() -> None:
            act(*values)

        assert self._loop is not None  # noqa: S101
        asyncio.run_coroutine_threadsafe(call(), self._loop).result()

    def _remember(self, this: int, lines: Iterable[EncodedEvent], horizon: Cursor) -> None:
        if this != self._round:
            return
        for line in lines:
            self._lines.append(line)
            self._bytes += len(line.data)
        while len(self._lines) > REMEMBERED_EVENTS or self._bytes > REMEMBERED_BYTES:
            oldest = self._lines.popleft()
            self._bytes -= len(oldest.data)
            self._begins = oldest.id
        self.horizon = horizon
        self._wake()

    def _forget(self, this: int, horizon: Cursor | None) -> None:
        """Start again with the events after this id."""
        if this != self._round:
            return
        self._lines.clear()
        self._bytes = 0
        self._begins = horizon or 0
        self.horizon = horizon
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _line(event: ListedEvent) -> EncodedEvent:
    data = msgspec.json.encode(event)
    return EncodedEvent(
        event.id, event.type, event.session, event.project or "", event.host or "", data
    )
