"""The web application under its production server: `python -I -m claude_headspace.web`.

One event loop serves all streams, a few threads answer everything else.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from a2wsgi import WSGIMiddleware
from flask import Flask

from claude_headspace.config import Config, load_config
from claude_headspace.embedded.location import database_url, reader_url
from claude_headspace.errors import HeadspaceError
from claude_headspace.health.status_file import reads_a_backlog
from claude_headspace.read.connection import ReadPool
from claude_headspace.store.search_index import SearchIndex
from claude_headspace.supervision.alerts import Alerts
from claude_headspace.supervision.control import Supervisor, SupervisorError, connect
from claude_headspace.supervision.single_watcher import parent_check
from claude_headspace.web.access_control import OPEN_PATHS, AccessControl
from claude_headspace.web.app import create_app
from claude_headspace.web.feed import Feed
from claude_headspace.web.stream import STREAM_PATH, Receive, Scope, Send, Streams
from claude_headspace.web.waiting import watch_waits

ORPHAN_CHECK_SECONDS = 0.5
# Capture comes first when the processors are busy.
NICENESS = 5
THREADS = 8
# So that health answers while all other threads wait for the database.
HEALTH_THREADS = 2
# The Date header changes once a second.
_TICK_SECONDS = 1.0

logger = logging.getLogger("claude_headspace.web")


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


def main() -> int:
    """Serve until stopped; the exit status is the error's own."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s web: %(message)s"
    )
    os.nice(NICENESS)
    try:
        config = load_config()
        pool = ReadPool(lambda: reader_url(config), lambda: config.state.machine)
        access = AccessControl(config.state.directory, config.web.host)
        streams = Streams(Feed(lambda: reader_url(config), pool), access)
        entrance = Entrance(create_app(config, pool, access), streams)
    except HeadspaceError as error:
        logger.error("%s", error)  # noqa: TRY400  a message for people, no traceback
        return error.exit_status
    host, port = config.web.host, config.web.port
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family)
    except OSError as error:
        logger.error("cannot listen on %s port %d: %s", host, port, error)  # noqa: TRY400  as above
        return 1
    _make_way_for_a_successor(connect(config))
    _keep_the_search_index(config)
    if config.alerts.command:
        watch_waits(pool, Alerts(config.alerts.command), config.state.directory)
    logger.info("ready: http://%s:%d/health", host, port)
    settings = uvicorn.Config(
        entrance, loop="asyncio", http="h11", ws="none", lifespan="off", interface="asgi3",
        log_config=None, access_log=False, proxy_headers=False, server_header=False,
    )  # fmt: skip
    PageServer(settings).run(sockets=[listening])
    return 0


def _keep_the_search_index(config: Config) -> None:
    directory = config.state.directory
    index = SearchIndex(lambda: database_url(config), lambda: reads_a_backlog(directory))
    threading.Thread(target=index.keep, name="search index", daemon=True).start()


def _make_way_for_a_successor(supervisor: Supervisor) -> None:
    """After its supervisord has ended, keep reporting that until the next one needs the port."""
    is_orphan = parent_check()

    def watch() -> None:
        while not (is_orphan() and _answers(supervisor)):
            time.sleep(ORPHAN_CHECK_SECONDS)
        logger.warning("another supervisord runs: making way for its web application")
        os._exit(0)

    threading.Thread(target=watch, name="successor", daemon=True).start()


def _answers(supervisor: Supervisor) -> bool:
    try:
        supervisor.call("supervisor.getState")
    except SupervisorError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
