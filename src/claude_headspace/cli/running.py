"""Starting everything and stopping it, its logs, and the service that does so at login."""

from __future__ import annotations

import os
import sys
from argparse import REMAINDER, Namespace
from typing import TYPE_CHECKING

from claude_headspace.cli.command import add, count

if TYPE_CHECKING:
    from claude_headspace.cli.command import Commands


def configure(commands: Commands) -> None:
    """Declare the commands."""
    parser = add(
        commands, "up", up, "start everything: capture, page and embedded database",
        "Until Ctrl-C, or in the background. Says where everything is once the watcher captures.",
        "claude-headspace up --detach",
    )  # fmt: skip
    parser.add_argument("--detach", action="store_true", help="run in the background")
    add(
        commands, "down", down, "stop everything", "Returns when all has ended.",
        "claude-headspace down",
    )  # fmt: skip
    add(
        commands, "restart", restart, "stop everything and start it again, in the background",
        "Needed after an upgrade. A service that runs is restarted as such.",
        "claude-headspace restart",
    )  # fmt: skip
    parser = add(
        commands, "logs", logs, "show the programs' logs",
        "Of all programs, or of one: supervisord, postgres, migrate, watcher, guard, web.",
        "claude-headspace logs watcher --follow",
    )  # fmt: skip
    parser.add_argument("program", nargs="?", metavar="PROGRAM", help="show only this one")
    parser.add_argument("--follow", action="store_true", help="go on with what is written")
    parser.add_argument(
        "--limit", type=count, default=20, metavar="N",
        help="begin with the last N lines of each, or `all` of the last 256 KB (default: 20)",
    )  # fmt: skip
    parser = add(
        commands, "supervisorctl", supervisorctl, "run supervisorctl for this instance",
        "With the configuration file that `status` names.",
        "claude-headspace supervisorctl restart watcher",
    )  # fmt: skip
    parser.add_argument("arguments", nargs=REMAINDER, metavar="ARGUMENT", help="passed on")
    _configure_service(commands)


def _configure_service(commands: Commands) -> None:
    group = commands.add_parser(
        "service",
        help="have everything start at login: systemd or launchd",
        description="Writes a systemd user unit, or a launchd agent, and starts it.",
        epilog="example:\n  claude-headspace service install",
    )
    actions = group.add_subparsers(title="actions", metavar="ACTION", required=True)
    for name, run, summary in (
        ("install", install_service, "write the service's file and start the service"),
        ("uninstall", uninstall_service, "stop the service and remove its file"),
    ):
        parser = add(
            actions, name, run, summary,
            "Shows what it will do, and asks for confirmation on a terminal.",
            f"claude-headspace service {name}",
        )  # fmt: skip
        parser.add_argument("--yes", action="store_true", help="do not ask")
    add(
        actions, "status", service_status, "show whether the service is installed and runs",
        "Exit status 1 if there are problems.",
        "claude-headspace service status",
    )  # fmt: skip


def up(arguments: Namespace) -> int:
    """Start everything."""
    from claude_headspace.config import load_config
    from claude_headspace.deployment import start

    return start.up(load_config(), detach=arguments.detach)


def down(_: Namespace) -> int:
    """Stop everything."""
    from claude_headspace.deployment import stop

    stop.down()
    return 0


def restart(_: Namespace) -> int:
    """Stop and start."""
    from claude_headspace.config import load_config
    from claude_headspace.deployment import start

    return start.restart(load_config())


def logs(arguments: Namespace) -> int:
    """Print lines of logs."""
    from claude_headspace.cli.terminal import printable
    from claude_headspace.config import load_config
    from claude_headspace.deployment.logs import log_lines, open_logs

    found = open_logs(load_config().state.directory / "log", arguments.program)
    count = sys.maxsize if arguments.limit is None else arguments.limit
    for line in log_lines(found, count, follow=arguments.follow):
        print(printable(line), flush=arguments.follow)
    return 0


def supervisorctl(arguments: Namespace) -> int:
    """Become supervisorctl."""
    from claude_headspace.config import load_config
    from claude_headspace.deployment.configuration import supervisorctl

    supervisorctl(load_config(), arguments.arguments)


def install_service(arguments: Namespace) -> int:
    """Show the file, write it, start the service."""
    from claude_headspace.config import load_config
    from claude_headspace.deployment import service
    from claude_headspace.deployment.managers import manager

    config, found = load_config(), manager()
    if service.installed_text(found) == found.text() and found.is_active():
        print(f"{found.path} needs no change, and the service runs.")
    else:
        print(f"{found.path}:\n\n{found.text()}")
        if not (arguments.yes or _agreed("Write this and start the service?")):
            print("Nothing was changed.")
            return 1
        service.install(found, config)
        print("The service is installed and runs.")
    for remark in (*found.remarks(), *service.unseen(os.environ)):
        print(remark)
    return 0


def uninstall_service(arguments: Namespace) -> int:
    """Remove the service."""
    from claude_headspace.deployment import service
    from claude_headspace.deployment.managers import manager

    found = manager()
    if not service.installed_text(found):
        print(f"There is no {found.path}: the service is not installed.")
        return 0
    if not (arguments.yes or _agreed(f"Stop the service and remove {found.path}?")):
        print("Nothing was changed.")
        return 1
    service.uninstall(found)
    print("The service has stopped and is removed. What was captured stays.")
    return 0


def service_status(_: Namespace) -> int:
    """Print what is wrong with the service, if anything."""
    from claude_headspace.deployment import service
    from claude_headspace.deployment.managers import manager

    found = manager()
    problems = list(service.problems(found, os.environ))
    print(*(problems or [f"{found.path} is installed and runs."]), sep="\n")
    return 1 if problems else 0


def _agreed(question: str) -> bool:
    """Whether the person at the terminal agrees; a script has agreed by its command."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return True
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False
