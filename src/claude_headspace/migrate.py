"""Upgrades the schema as soon as the database answers; a program under supervisord.

It waits as long as the database is unavailable or unsuitable. After any other error it ends for
good, because supervisord would restart it for ever.
"""

from __future__ import annotations

import logging
import sys
import time

import psycopg2

from claude_headspace.config import Config, load_config
from claude_headspace.embedded.location import database_url
from claude_headspace.errors import ConfigError, DatabaseError, HeadspaceError, SchemaMismatch
from claude_headspace.logs import configure_logging
from claude_headspace.store.failures import translate
from claude_headspace.store.opener import open_on
from claude_headspace.supervision.single_watcher import die_with_parent

LONGEST_PAUSE_SECONDS = 5.0
INTERNAL_ERROR = 70  # EX_SOFTWARE of sysexits.h
_log = logging.getLogger("claude_headspace.migrate")


def main() -> int:
    """Wait for the database, upgrade it, and end."""
    die_with_parent()
    try:
        config = load_config()
        configure_logging(config.logging.level)
        logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)
        return upgrade_when_there(config)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    except HeadspaceError as error:
        _log.error("%s", error)
        return error.exit_status
    except KeyboardInterrupt:
        return 130
    except Exception:  # noqa: BLE001 - see above
        _log.exception("the schema cannot be upgraded: internal error")
        return INTERNAL_ERROR


def upgrade_when_there(config: Config, *, newer_too: bool = True) -> int:
    """Retry until it succeeds, with growing pauses; the same problem is logged once.

    Without `newer_too`, a schema that is newer than this program raises SchemaMismatch.
    """
    pause = 0.05
    told = ""
    while True:
        try:
            upgrade(database_url(config))
        except DatabaseError as error:
            if isinstance(error, SchemaMismatch) and not newer_too:
                raise
            if str(error) != told:
                told = str(error)
                _log.warning("waiting: %s", told)
        else:
            _log.info("the schema is up to date")
            return 0
        time.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE_SECONDS)


def upgrade(url: str) -> None:
    """Upgrade the schema; errors of the database are raised as DatabaseError."""
    try:
        open_on(url).close()
    except psycopg2.Error as error:
        raise translate(error) from error
    # Imported only now: Alembic is large, and the wait can be long.
    from sqlalchemy.exc import DBAPIError

    from claude_headspace.store import migrations

    try:
        migrations.upgrade(url)
    except DBAPIError as error:
        raise translate(error.orig) from error


if __name__ == "__main__":
    sys.exit(main())
