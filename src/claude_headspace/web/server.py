"""The server: one event loop serves all streams, a few threads answer everything else."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvicorn
from a2wsgi import WSGIMiddleware

from claude_headspace.web.guard import OPEN_PATHS
from claude_headspace.web.stream import STREAM_PATH, Receive, Scope, Send, Streams

if TYPE_CHECKING:
    from flask import Flask

THREADS = 8
# So that health answers while all other threads wait for the database.
HEALTH_THREADS = 2
# The Date header changes once a second.
_TICK_SECONDS = 1.0


class Entrance:
    """Routes every request to the application that answers it."""

    def __init__(self, app: Flask, streams: Streams) -> None:
        self._health = WSGIMiddleware(app, workers=HEALTH_THREADS)  # type: ignore[arg-type]
        self._pages = WSGIMiddleware(app, workers=THREADS)  # type: ignore[arg-type]
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        if scope["path"] == STREAM_PATH:
            await self._streams(scope, receive, send)
        elif scope["path"] in OPEN_PATHS:
            await self._health(scope, receive, send)  # type: ignore[arg-type]
        else:
            await self._pages(scope, receive, send)  # type: ignore[arg-type]


class PageServer(uvicorn.Server):
    """Uvicorn's server, but a signal ends it at once, and it does no work while idle."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals as they are."""
        yield

    async def main_loop(self) -> None:
        """Run until the process ends."""
        while True:
            await self.on_tick(0)
            await asyncio.sleep(_TICK_SECONDS)


def serve(entrance: Entrance, listening: socket.socket) -> None:
    """Serve requests on this socket until the process ends."""
    settings = uvicorn.Config(
        entrance,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
    )
    PageServer(settings).run(sockets=[listening])
