"""Starting and stopping everything, and the programs' logs."""

from __future__ import annotations

import sys

import click

from claude_headspace.cli.command import command, flag, limit
from claude_headspace.cli.terminal import printable


@command("up", "claude-headspace up --detach")
@flag("--detach", "run in the background")
def up(*, detach: bool) -> int:
    """Start everything: capture, the page, the embedded database.

    Runs until Ctrl-C, or in the background with --detach. Once the watcher captures, it prints
    where everything is.
    """
    from claude_headspace.config import load_config
    from claude_headspace.deployment import start

    return start.up(load_config(), detach=detach)


@command("down", "claude-headspace down")
def down() -> int:
    """Stop everything, and wait until it has ended."""
    from claude_headspace.deployment import stop

    stop.down()
    return 0


@command("restart", "claude-headspace restart")
def restart() -> int:
    """Stop everything and start it again, in the background.

    Needed after an upgrade, for instance. A running service is restarted as a service.
    """
    from claude_headspace.config import load_config
    from claude_headspace.deployment import start

    return start.restart(load_config())


@command("logs", "claude-headspace logs watcher --follow")
@click.argument("program", required=False, metavar="[PROGRAM]")
@flag("--follow", "keep showing new lines")
@limit(20)
def logs(program: str | None, limit: int | None, *, follow: bool) -> int:
    """Show the logs of all programs, or of one.

    PROGRAM is supervisord, postgres, migrate, watcher, guard or web. Shows at most the last 256 KB
    of each log.
    """
    from claude_headspace.config import load_config
    from claude_headspace.deployment.logs import log_lines, open_logs

    found = open_logs(load_config().state.directory / "log", program)
    for line in log_lines(found, sys.maxsize if limit is None else limit, follow=follow):
        print(printable(line), flush=follow)
    return 0


@command(
    "supervisorctl",
    "claude-headspace supervisorctl restart watcher",
    context_settings={"ignore_unknown_options": True},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[ARGUMENT]...")
def supervisorctl(arguments: tuple[str, ...]) -> int:
    """Run supervisorctl for this instance, with the configuration file that `status` names."""
    from claude_headspace.config import load_config
    from claude_headspace.deployment.configuration import supervisorctl

    supervisorctl(load_config(), arguments)
