"""The service that starts everything at login or boot."""

from __future__ import annotations

import os

from claude_headspace.cli.command import command, flag, group
from claude_headspace.cli.terminal import agreed, print_wrapped, printable


@group("service", "claude-headspace service install")
def service() -> None:
    """Start everything at login or at boot.

    Uses a systemd user unit on Linux and a launchd agent on macOS.
    """


@command("install", "claude-headspace service install", of=service)
@flag("--yes", "do not ask")
def install_service(*, yes: bool) -> int:
    """Write the service's file and start the service.

    Shows the file, and asks for confirmation on a terminal. Programs that were started by hand
    are stopped first.
    """
    from claude_headspace.config import load_config
    from claude_headspace.deployment.managers import manager
    from claude_headspace.deployment.service import install, installed_text, unseen

    config, found = load_config(), manager()
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
@flag("--yes", "do not ask")
def uninstall_service(*, yes: bool) -> int:
    """Stop the service and remove its file; captured data stays."""
    from claude_headspace.deployment.managers import manager
    from claude_headspace.deployment.service import installed_text, uninstall

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
    from claude_headspace.deployment.managers import manager
    from claude_headspace.deployment.service import problems

    found = manager()
    wrong = list(problems(found, os.environ))
    print_wrapped(wrong or [f"{found.path} is installed and running."])
    return 1 if wrong else 0
