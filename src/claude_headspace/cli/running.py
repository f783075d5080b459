"""Starting and stopping everything, as a service too, and the programs' logs."""

from __future__ import annotations

import os
import sys

import click

from claude_headspace.cli.access import configured
from claude_headspace.cli.command import command, flag, group, limit, option, yes
from claude_headspace.cli.terminal import agreed, announce, print_wrapped, printable
from claude_headspace.deployment.program_logs import log_lines, open_logs
from claude_headspace.health.units import counted


@command("up", "claude-headspace up --detach")
@flag("--detach", "run in the background")
def up(*, detach: bool) -> int:
    """Start everything: capture, the page, the embedded database.

    Runs until Ctrl-C, or in the background with --detach. Once the watcher captures, it prints
    where everything is.
    """
    from claude_headspace.deployment import start

    return start.up(configured(), detach=detach)


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
    from claude_headspace.deployment import start

    return start.restart(configured())


@command("drain", "claude-headspace drain --timeout 60")
@option("--timeout", "SECONDS", "give up after this time (default: 300)", type=float, default=300)
def drain(timeout: float) -> int:
    """Wait until everything on this machine's disk has arrived in the log.

    This includes the archive and, with forward.url, the central log. If nothing runs, the programs
    that are needed are started, and stopped at the end. For machines that go away, such as CI jobs.
    Exit status: 0 everything has arrived, 1 something has not.
    """
    from claude_headspace.deployment.drain import drain

    announce(f"Waiting until everything has arrived, for at most {timeout:g} s.")
    seen, missing = drain(configured(), timeout)
    for path, size in seen.torn.items():
        print(f"note: {printable(path)} ends with {size} bytes that are not a complete line")
    if missing:
        print(f"After {timeout:g} s not everything has arrived:", file=sys.stderr)
        for each in missing:
            print(f"  {printable(each)}", file=sys.stderr)
        return 1
    print(f"Everything has arrived: {counted(seen.files, 'transcript')}.")
    return 0


@command("logs", "claude-headspace logs watcher --follow")
@click.argument("program", required=False, metavar="[PROGRAM]")
@flag("--follow", "keep showing new lines")
@limit(20)
def logs(program: str | None, limit: int | None, *, follow: bool) -> int:
    """Show the logs of all programs, or of one.

    PROGRAM is supervisord, postgres, migrate, watcher, guard, web or forwarder. Shows at most the
    last 256 KB of each log.
    """
    found = open_logs(configured().state.directory / "log", program)
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
    from claude_headspace.deployment.configuration import supervisorctl

    supervisorctl(configured(), arguments)


@group("service", "claude-headspace service install")
def service() -> None:
    """Start everything at login or at boot.

    Uses a systemd user unit on Linux and a launchd agent on macOS.
    """


@command("install", "claude-headspace service install", of=service)
@yes
def install_service(*, yes: bool) -> int:
    """Write the service's file and start the service.

    Shows the file, and asks for confirmation on a terminal. Programs that were started by hand
    are stopped first.
    """
    from claude_headspace.deployment.service import install, installed_text, manager
    from claude_headspace.deployment.service_problems import unseen

    config, found = configured(), manager()
    if installed_text(found) == found.text() and found.is_active():
        print(f"{found.path} needs no change, and the service is running.")
    else:
        print(printable(f"{found.path}:"), found.text(), sep="\n\n")
        if not (yes or agreed("Write this and start the service?")):
            print("Nothing was changed.")
            return 1
        install(found, config)
        print("The service is installed and running.")
    print_wrapped((*found.remarks(), *unseen(os.environ)))
    return 0


@command("uninstall", "claude-headspace service uninstall", of=service)
@yes
def uninstall_service(*, yes: bool) -> int:
    """Stop the service and remove its file; captured data stays."""
    from claude_headspace.deployment.service import installed_text, manager, uninstall

    found = manager()
    if not installed_text(found):
        print(f"There is no {found.path}: the service is not installed.")
        return 0
    if not (yes or agreed(f"Stop the service and remove {found.path}?")):
        print("Nothing was changed.")
        return 1
    uninstall(found)
    print("The service is stopped and removed.")
    return 0


@command("status", "claude-headspace service status", of=service)
def service_status() -> int:
    """Show whether the service is installed and running.

    Exit status 1 if there are problems.
    """
    from claude_headspace.deployment.service import manager
    from claude_headspace.deployment.service_problems import problems

    found = manager()
    wrong = list(problems(found, os.environ))
    print_wrapped(wrong or [f"{found.path} is installed and running."])
    return 1 if wrong else 0
