"""The log's database: its schema, its address, and psql."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from typing import TYPE_CHECKING

import click

from claude_headspace.address import SECRETS
from claude_headspace.cli.access import configured, open_log
from claude_headspace.cli.command import command, flag, option
from claude_headspace.errors import HeadspaceError

if TYPE_CHECKING:
    from claude_headspace.config import Config

_DATABASE = option("--database", "URL", "use this database instead of the configured one")


@command("migrate", "claude-headspace migrate --database postgresql://me@db.example/headspace")
@_DATABASE
@flag("--no-wait", "fail if the database does not answer at once")
def migrate(database: str | None, *, no_wait: bool) -> int:
    """Upgrade the database schema to this version.

    Waits for a database that is not available yet, and says so.
    """
    import logging

    from claude_headspace import migrate as program
    from claude_headspace.embedded.location import database_url as url_of
    from claude_headspace.logs import configure_logging

    config = configured(_environment(database))
    configure_logging(config.logging.level)
    logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)
    if no_wait:
        program.upgrade(url_of(config))
        return 0
    return program.upgrade_when_there(config, newer_too=False)


def _environment(database: str | None) -> dict[str, str]:
    return {**os.environ, **({"DATABASE_URL": database} if database else {})}


@command(
    "grants",
    "claude-headspace grants --database postgresql://postgres@db.example/headspace --apply",
)
@_DATABASE
@option("--owner", "ROLE", "the role of migrations (default: claude_headspace_owner)")
@option("--writer", "ROLE", "the role of watchers (default: claude_headspace_writer)")
@option("--reader", "ROLE", "the role of readers (default: claude_headspace_reader)")
@option("--schema", "NAME", "where the log is (default: public)", default="public")
@flag("--apply", "run the statements instead of printing them")
def grants(database: str | None, schema: str, *, apply: bool, **roles: str | None) -> int:
    """Print SQL that gives each role the privileges that it needs, and no more.

    It creates missing roles, without login, and makes one of them the owner of all tables. Run it
    as a superuser, or as the owner of the database with CREATEROLE.
    """
    from claude_headspace.store.grants import grants as statements

    given = {name: role for name, role in roles.items() if role}
    sql = statements(schema=schema, **given)
    if not apply:
        print(sql, end="")
        return 0
    with open_log(configured(_environment(database)), writing=True) as connection:
        connection.exec_driver_sql(sql)
        connection.commit()
    print("the roles have their privileges: see docs/servers.md")
    return 0


@command("database-url", 'DATABASE_URL="$(claude-headspace database-url)" my-reader')
def database_url() -> int:
    """Print the address of the log's database.

    Includes the password, if there is one. Other users can see command lines, so pass the address
    to a program in its environment.
    """
    from claude_headspace.embedded.location import database_url as url_of

    print(url_of(configured()))
    return 0


@command(
    "psql",
    "claude-headspace psql -c 'SELECT count(*) FROM events'",
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def psql(arguments: tuple[str, ...]) -> int:
    """Open psql on the log's database.

    All arguments go to psql, even --help.
    """
    from psycopg2.extensions import make_dsn, parse_dsn

    from claude_headspace.embedded.location import database_url as url_of
    from claude_headspace.store.opener import current_address

    config = configured()
    server = parse_dsn(current_address(url_of(config)))
    # Other users cannot see the environment; psql asks for other, rarer secrets.
    password = server.get("password")
    server = {name: text for name, text in server.items() if name not in SECRETS}
    environment = {**os.environ, "PGPASSWORD": password} if password else os.environ
    program = _client(config)
    sys.stdout.flush()
    # Python ignores SIGPIPE, and exec would pass that on to the new program.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.execve(program, [program, "-d", make_dsn(**server), *arguments], environment)  # noqa: S606


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
