"""The web application under its production server: `python -I -m claude_headspace.web`."""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
import time

from claude_headspace.access import token_of
from claude_headspace.config import Config, load_config
from claude_headspace.embedded.location import database_url, reader_url
from claude_headspace.errors import HeadspaceError
from claude_headspace.health.status_file import WatcherStatus, read_status, status_path
from claude_headspace.read.connection import ReadPool
from claude_headspace.store.search_index import SearchIndex
from claude_headspace.supervision.alerts import Alerts
from claude_headspace.supervision.control import Supervisor, SupervisorError, connect
from claude_headspace.supervision.single_watcher import parent_check
from claude_headspace.web.app import create_app
from claude_headspace.web.feed import Feed
from claude_headspace.web.frame import BACKLOG_BYTES
from claude_headspace.web.guard import Guard
from claude_headspace.web.server import Entrance, serve
from claude_headspace.web.stream import Streams
from claude_headspace.web.waiting import watch_waits

ORPHAN_CHECK_SECONDS = 0.5
# Capture comes first when the processors are busy.
NICENESS = 5

log = logging.getLogger("claude_headspace.web")


def main() -> int:
    """Serve until stopped; the exit status is the error's own."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s web: %(message)s"
    )
    os.nice(NICENESS)
    try:
        config = load_config()
        token_of(config.state.directory)
        pool = ReadPool(lambda: reader_url(config), lambda: config.state.machine)
        entrance = _make_entrance(config, pool)
    except HeadspaceError as error:
        log.error("%s", error)  # noqa: TRY400  a message for people, no traceback
        return error.exit_status
    host, port = config.web.host, config.web.port
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family)
    except OSError as error:
        log.error("cannot listen on %s port %d: %s", host, port, error)  # noqa: TRY400  as above
        return 1
    _make_way_for_a_successor(connect(config))
    _keep_the_search_index(config)
    if config.alerts.command:
        watch_waits(pool, Alerts(config.alerts.command), config.state.directory)
    log.info("ready: http://%s:%d/health", host, port)
    serve(entrance, listening)
    return 0


def _keep_the_search_index(config: Config) -> None:
    def reads_a_backlog() -> bool:
        status = read_status(status_path(config.state.directory))
        return isinstance(status, WatcherStatus) and status.backlog_bytes > BACKLOG_BYTES

    index = SearchIndex(lambda: database_url(config), reads_a_backlog)
    threading.Thread(target=index.keep, name="search index", daemon=True).start()


def _make_entrance(config: Config, pool: ReadPool) -> Entrance:
    guard = Guard(config.state.directory, config.web.host)
    feed = Feed(lambda: reader_url(config), pool)
    return Entrance(create_app(config, pool), Streams(feed, guard))


def _make_way_for_a_successor(supervisor: Supervisor) -> None:
    """After its supervisord has ended, keep reporting that until the next one needs the port."""
    is_orphan = parent_check()

    def watch() -> None:
        while not (is_orphan() and _answers(supervisor)):
            time.sleep(ORPHAN_CHECK_SECONDS)
        log.warning("another supervisord runs: making way for its web application")
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
