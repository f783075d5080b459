"""The log's database: its schema, its address, a shell on it."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
from argparse import Namespace
from typing import TYPE_CHECKING

from claude_headspace.cli.command import add
from claude_headspace.errors import HeadspaceError

if TYPE_CHECKING:
    from claude_headspace.cli.command import Commands
    from claude_headspace.config import Config


def configure(commands: Commands) -> None:
    """Declare the commands."""
    parser = add(
        commands, "migrate", migrate, "upgrade the database schema to this version",
        "Waits for a database that is not available yet, and says so.",
        "claude-headspace migrate --database postgresql://me@db.example/headspace",
    )  # fmt: skip
    parser.add_argument(
        "--database", metavar="URL", help="use this database instead of the configured one"
    )
    parser.add_argument(
        "--no-wait", action="store_true", help="fail if the database does not answer at once"
    )
    add(
        commands, "database-url", database_url, "print the address of the log's database",
        "Includes the password, if there is one. Other users can see command lines, so pass the\n"
        "address to a program in its environment.",
        'DATABASE_URL="$(claude-headspace database-url)" my-reader',
    )  # fmt: skip
    parser = add(
        commands, "psql", psql, "open psql on the log's database",
        "",
        "claude-headspace psql -c 'SELECT count(*) FROM events'",
        prefix_chars="\0",
        add_help=False,
    )  # fmt: skip
    parser.add_argument("arguments", nargs=argparse.REMAINDER)


def migrate(arguments: Namespace) -> int:
    """Upgrade the schema."""
    import logging

    from claude_headspace import migrate as program
    from claude_headspace.config import load_config
    from claude_headspace.embedded.location import database_url as url_of
    from claude_headspace.logs import configure_logging

    given = {"DATABASE_URL": arguments.database} if arguments.database else {}
    config = load_config({**os.environ, **given})
    configure_logging(config.logging.level)
    logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)
    if arguments.no_wait:
        program.upgrade(url_of(config))
        return 0
    return program.upgrade_when_there(config)


def database_url(_: Namespace) -> int:
    """Print the address."""
    from claude_headspace.config import load_config
    from claude_headspace.embedded.location import database_url as url_of

    print(url_of(load_config()))
    return 0


def psql(arguments: Namespace) -> int:
    """Become psql."""
    from psycopg2.extensions import make_dsn, parse_dsn

    from claude_headspace.address import SECRETS
    from claude_headspace.config import load_config
    from claude_headspace.embedded.location import database_url as url_of
    from claude_headspace.servers.opening import current_address

    config = load_config()
    place = parse_dsn(current_address(url_of(config)))
    # In the environment, where other users do not see it; psql asks for the rarer ones.
    password = place.get("password")
    place = {name: text for name, text in place.items() if name not in SECRETS}
    environment = {**os.environ, "PGPASSWORD": password} if password else os.environ
    program = _client(config)
    sys.stdout.flush()
    # Python ignores it, and an ignored signal stays ignored in the program that we become.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.execve(program, [program, "-d", make_dsn(**place), *arguments.arguments], environment)  # noqa: S606


def _client(config: Config) -> str:
    """The system's psql, or the one that came with the embedded server."""
    from claude_headspace.embedded.location import server_record

    found = shutil.which("psql")
    if found is not None:
        return found
    record = server_record(config.state.directory)
    if record is not None and os.access(record.bin / "psql", os.X_OK):
        return str(record.bin / "psql")
    raise HeadspaceError(
        "psql was not found: install the PostgreSQL client, or use another client with the"
        " address that `claude-headspace database-url` prints"
    )
