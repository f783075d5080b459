"""New events for all open streams: one connection listens, and the newest are held encoded.

The feed's thread reads the log in its safe order. Streams in the event loop take the events that
they lack, each at its own pace. A stream that is further behind than the feed remembers reads the
log. Pages need to know only that there are events: without other streams the data is not read.
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
from claude_headspace.read.events import EventMark, ListedEvent, events_between, marks_between
from claude_headspace.store.connection import Database
from claude_headspace.store.cursor import Cursor
from claude_headspace.store.follow import Follower
from claude_headspace.store.patience import Patience

REMEMBERED_EVENTS = 2_000
REMEMBERED_BYTES = 4_000_000
PAGE_EVENTS = 100
_REST_SECONDS = 1.0
# Reading for streams takes at most a tenth of the time, but no event waits longer than this.
_READ_REST, _LONGEST_REST = 9, 0.25

log = logging.getLogger("claude_headspace.web")


@dataclass(frozen=True, slots=True)
class EncodedEvent:
    """One event, encoded once for all streams; without data if no stream wants it."""

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
        self._with_data = 0
        # Counts how often a first stream has joined.
        self._round = 0
        self._changed = asyncio.Event()
        # Up to here every id is final, and every event was handed on; None: unknown.
        self.horizon: Cursor | None = None

    @property
    def streams(self) -> int:
        """How many streams are open."""
        return self._streams

    def join(self, *, with_data: bool) -> None:
        """Add a stream; the first one receives events from now on."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            threading.Thread(target=self._work, name="feed", daemon=True).start()
        if not self._streams:
            self._round += 1
            self._forget(self._round, None)
        self._streams += 1
        self._with_data += with_data
        if with_data and self._with_data == 1:
            self._drop()
        self._wanted.set()

    def leave(self, *, with_data: bool) -> None:
        """Remove a stream; without streams the log is not read."""
        self._streams -= 1
        self._with_data -= with_data
        if not self._streams:
            self._wanted.clear()

    @property
    def changed(self) -> asyncio.Event:
        """Set as soon as there are new events or another horizon; take it before looking."""
        return self._changed

    async def after(self, cursor: int, *, with_data: bool) -> tuple[Sequence[EncodedEvent], int]:
        """The events after this id, and the id up to which they are complete."""
        horizon = self.horizon or 0
        if cursor >= self._begins:
            return [line for line in self._lines if line.id > cursor], horizon
        found = await asyncio.to_thread(self._read, cursor, horizon, with_data)
        return found, found[-1].id if len(found) == PAGE_EVENTS else horizon

    def _read(self, cursor: int, horizon: int, with_data: bool) -> list[EncodedEvent]:
        with self._pool.reading() as reader:
            if with_data:
                return list(map(_line, events_between(reader, cursor, horizon, PAGE_EVENTS)))
            return list(map(_mark, marks_between(reader, cursor, horizon, PAGE_EVENTS)))

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
            began, final = time.monotonic(), follower.read().cursor
            if done < final:
                while done < final:
                    done = self._hand_on(this, done, final, follower.timeline)
                time.sleep(min(_LONGEST_REST, _READ_REST * (time.monotonic() - began)))
            follower.wait(_REST_SECONDS)

    def _hand_on(self, this: int, done: int, final: int, timeline: int | None) -> int:
        with_data = self._with_data > 0
        lines = self._read(done, final, with_data)
        done = lines[-1].id if len(lines) == PAGE_EVENTS else final
        self._tell(self._remember, this, lines, Cursor.at(done, timeline), with_data)
        return done

    def _tell(self, act: Callable[..., None], *values: object) -> None:
        async def call() -> None:
            act(*values)

        assert self._loop is not None  # noqa: S101
        asyncio.run_coroutine_threadsafe(call(), self._loop).result()

    def _remember(
        self, this: int, lines: Iterable[EncodedEvent], horizon: Cursor, with_data: bool
    ) -> None:
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
        if self._with_data and not with_data:
            self._drop()
        self._wake()

    def _drop(self) -> None:
        """Let streams read from the log what came until now."""
        self._lines.clear()
        self._bytes = 0
        self._begins = self.horizon or 0

    def _forget(self, this: int, horizon: Cursor | None) -> None:
        """Start again with the events after this id."""
        if this != self._round:
            return
        self.horizon = horizon
        self._drop()
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _mark(event: EventMark) -> EncodedEvent:
    return EncodedEvent(event.id, event.type, event.session, event.project, event.host, b"")


def _line(event: ListedEvent) -> EncodedEvent:
    data = msgspec.json.encode(event)
    return EncodedEvent(
        event.id, event.type, event.session, event.project or "", event.host or "", data
    )
