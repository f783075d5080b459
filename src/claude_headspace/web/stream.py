"""`/api/events/stream`: server-sent events that resume exactly where a connection broke."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs

import msgspec

from claude_headspace.store.cursor import Cursor
from claude_headspace.web.access_control import HEADERS, AccessControl
from claude_headspace.web.feed import REST_SECONDS, EncodedEvent, Feed
from claude_headspace.web.problems import Problem

STREAM_PATH = "/api/events/stream"
MOST_STREAMS = 500
BEAT_SECONDS = 15.0
_PARAMETERS = frozenset({"session", "project", "host", "type", "after", "only"})
_CURSOR = re.compile(r"[0-9]{1,19}(@[0-9]{1,10})?")
_BEGIN = b"retry: 2000\n: open\n\n"
# The log was reset, for example by a restored backup, or another server took over: the ids that
# follow may have been used before.
_RESET = b"event: reset\ndata: {}\n"

Scope = MutableMapping[str, Any]
AsgiMessage = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[AsgiMessage]]
Send = Callable[[AsgiMessage], Awaitable[None]]
_Headers = Mapping[str, str]
_Asked = Mapping[str, list[str]]


class Streams:
    """The ASGI application of this one path."""

    def __init__(self, feed: Feed, access: AccessControl) -> None:
        self._feed = feed
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, for as long as the client stays."""
        headers = {name.decode("latin-1"): v.decode("latin-1") for name, v in scope["headers"]}
        asked = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        problem = self._refusal(scope, headers, asked)
        if problem is not None:
            await _answer(send, problem)
            return
        await send(_start(200, "text/event-stream"))
        await send(_part(_BEGIN))
        self._feed.join()
        gone = asyncio.ensure_future(_until_gone(receive))
        try:
            await self._send_all(send, gone, headers, asked)
        finally:
            gone.cancel()
            self._feed.leave()

    def _refusal(self, scope: Scope, headers: _Headers, asked: _Asked) -> Problem | None:
        if (problem := self._access.refusal(STREAM_PATH, headers)) is not None:
            return problem
        if scope["method"] != "GET":
            return Problem(405, "method_not_allowed", "this can only be read: use GET")
        if unknown := set(asked) - _PARAMETERS:
            told = f"{min(unknown)}: unknown parameter (known: {', '.join(sorted(_PARAMETERS))})"
            return Problem(400, "bad_request", told)
        after = _after(headers, asked)
        if after and not (_CURSOR.fullmatch(after) and Cursor.read(after) < 2**63):
            told = f"{after[:40]!r} is not an event id"
            return Problem(400, "bad_request", told, "give the id of the last event received")
        if "only" in asked and (only := _last(asked, "only")) != "ids":
            told = f"only={only[:40]}: unknown value"
            return Problem(400, "bad_request", told, "write only=ids, or leave it out")
        if self._feed.streams >= MOST_STREAMS:
            told = f"{MOST_STREAMS} streams are open already"
            return Problem(503, "too_many_streams", told, "close one first")
        return None

    async def _send_all(
        self, send: Send, gone: asyncio.Future[None], headers: _Headers, asked: _Asked
    ) -> None:
        feed, after = self._feed, _after(headers, asked)
        cursor = Cursor.read(after) if after else None
        while not gone.done():
            change, seconds = feed.changed, BEAT_SECONDS
            if feed.horizon is not None:
                before = feed.horizon if cursor is None else cursor
                cursor = await self._send_on(send, asked, before)
                if before < cursor < (feed.horizon or 0):
                    continue
                if cursor < (feed.horizon or 0):
                    seconds = REST_SECONDS
            if not await _either(change, gone, seconds):
                if self._access.refusal(STREAM_PATH, headers) is not None:
                    return
                await send(_part(b": beat\n" + _mark(cursor)))

    async def _send_on(self, send: Send, asked: _Asked, cursor: Cursor) -> Cursor:
        """Send the events after the cursor; returns the new cursor."""
        horizon = self._feed.horizon or Cursor()
        if cursor > horizon or cursor.timeline not in (None, horizon.timeline):
            await send(_part(_RESET + _mark(horizon)))
            return horizon
        with_data = "only" not in asked
        lines, reached = await self._feed.after(cursor, with_data=with_data)
        chosen = list(filter(_filter_of(asked), lines))
        if not with_data:  # only the id of the newest event
            chosen = chosen[-1:]
        if chosen:
            await send(_part(b"".join(_message(each, horizon.timeline) for each in chosen)))
        return Cursor.at(reached, horizon.timeline)


def _after(headers: _Headers, asked: _Asked) -> str:
    return headers.get("last-event-id") or _last(asked, "after")


def _last(asked: _Asked, name: str) -> str:
    return asked.get(name, [""])[-1]


def _filter_of(asked: _Asked) -> Callable[[EncodedEvent], bool]:
    """Whether a stream with these parameters sends an event."""
    types, host = frozenset(asked.get("type", ())), _last(asked, "host")
    session, project = _last(asked, "session").lower(), _last(asked, "project").strip("/")

    def wants(event: EncodedEvent) -> bool:
        return (
            (not types or event.type in types)
            and event.session.startswith(session)
            and host in ("", event.host)
            and (not project or f"/{event.project}".endswith(f"/{project}"))
        )

    return wants


async def _either(change: asyncio.Event, gone: asyncio.Future[None], seconds: float) -> bool:
    """Whether one of the two happened in time."""
    waiter = asyncio.ensure_future(change.wait())
    either: set[asyncio.Future[Any]] = {waiter, gone}
    done, _ = await asyncio.wait(either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    waiter.cancel()
    return bool(done)


async def _until_gone(receive: Receive) -> None:
    with suppress(asyncio.CancelledError):
        while (await receive())["type"] != "http.disconnect":
            pass


def _message(line: EncodedEvent, timeline: int | None) -> bytes:
    return b"id: %b\ndata: %b\n\n" % (Cursor.at(line.id, timeline).text.encode(), line.data)


def _mark(cursor: Cursor | None) -> bytes:
    """An id without data: not an event for the client, but where it resumes after a break."""
    return b"\n" if cursor is None else b"id: %b\n\n" % cursor.text.encode()


def _start(status: int, kind: str) -> AsgiMessage:
    headers = {**HEADERS, "Content-Type": kind, "X-Accel-Buffering": "no"}
    headers |= {"Allow": "GET"} if status == 405 else {}
    encoded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http.response.start", "status": status, "headers": encoded}


def _part(body: bytes, *, more: bool = True) -> AsgiMessage:
    return {"type": "http.response.body", "body": body, "more_body": more}


async def _answer(send: Send, problem: Problem) -> None:
    await send(_start(problem.status, "application/json"))
    await send(_part(msgspec.json.encode(problem.as_json()), more=False))
