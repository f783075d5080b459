"""The web application under its production server: `python -I -m claude_headspace.web`."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time

import waitress  # type: ignore[import-untyped]

from claude_headspace.config import load_config
from claude_headspace.errors import HeadspaceError
from claude_headspace.supervision.control import (
    Supervisor,
    SupervisorFault,
    SupervisorUnavailable,
    connect,
)
from claude_headspace.supervision.orphan import parent_check
from claude_headspace.web.app import create_app

THREADS = 8
ORPHAN_CHECK_SECONDS = 0.5

log = logging.getLogger("claude_headspace.web")


def main() -> int:
    """Serve until stopped; the exit status is the error's own."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s web: %(message)s"
    )
    try:
        config = load_config()
        app = create_app(config)
    except HeadspaceError as error:
        log.error("%s", error)  # noqa: TRY400  a message for people, no traceback
        return error.exit_status
    host, port = config.web.host, config.web.port
    try:
        server = waitress.create_server(app, host=host, port=port, threads=THREADS, ident=None)
    except OSError as error:
        log.error("cannot listen on %s port %d: %s", host, port, error)  # noqa: TRY400  as above
        return 1
    _make_way_for_a_successor(connect(config))
    log.info("ready: http://%s:%d/health", host, port)
    server.run()
    return 0


def _make_way_for_a_successor(supervisor: Supervisor) -> None:
    """Without its supervisord this goes on telling so, until the next one wants the port."""
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
    except (SupervisorUnavailable, SupervisorFault):
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
