"""The forwarder, a program under supervisord: `python -I -m claude_headspace.forwarding`."""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path

from claude_headspace.config import Config, load_config
from claude_headspace.embedded.location import database_url
from claude_headspace.errors import HeadspaceError
from claude_headspace.forwarding.central_log import CentralLog
from claude_headspace.forwarding.forwarder import Forwarder
from claude_headspace.forwarding.local_log import LocalLog
from claude_headspace.forwarding.not_forwarded import APPLICATION_NAME, central_url
from claude_headspace.health.observation import FORWARDER_WAITS
from claude_headspace.health.status_file import write_private
from claude_headspace.logs import configure_logging
from claude_headspace.machine import make_machine_id
from claude_headspace.store.connection import Database
from claude_headspace.store.version import require_schema
from claude_headspace.supervision.single_watcher import die_with_parent
from claude_headspace.watcher.lease import Lease

NOT_NEEDED = 100

logger = logging.getLogger("claude_headspace.forwarding")


def main() -> int:
    """Push until stopped; the exit status is the error's own, or NOT_NEEDED."""
    die_with_parent()
    try:
        config = load_config()
        configure_logging(config.logging.level)
        if config.forward.url is None:
            logger.info("forward.url is not set: nothing to forward")
            return NOT_NEEDED
        make_forwarder(config).run()
    except HeadspaceError as error:
        configure_logging("INFO")
        logger.error("%s", error)  # noqa: TRY400  a message for people, no traceback
        return error.exit_status
    except KeyboardInterrupt:
        return 130
    return 0


def make_forwarder(config: Config) -> Forwarder:
    """From this configuration's log to the one that `forward.url` names."""
    state = config.state.directory
    machine = make_machine_id(state)
    lease = Lease(state, machine, config.state.host)
    local = Database(
        lambda: database_url(config), application_name=APPLICATION_NAME, prepare=require_schema
    )
    central = Database(
        lambda: central_url(config), application_name=APPLICATION_NAME, prepare=lease.take,
        by_itself=False,
    )  # fmt: skip
    rate = config.forward.bytes_per_second
    logs = LocalLog(local, machine), CentralLog(central, machine)
    return Forwarder(*logs, rate, tell=partial(tell_health, state / FORWARDER_WAITS))


def tell_health(path: Path, waits_for: str) -> None:
    """Leave for `status` what the forwarder waits for; nothing when it goes on."""
    with suppress(OSError):
        write_private(path, waits_for) if waits_for else path.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
