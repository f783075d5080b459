"""Claude Code's hooks: the command that they run, and its entries in the settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from claude_headspace.cli.access import configured
from claude_headspace.cli.command import command, flag, group, option, path
from claude_headspace.cli.hook import run_hook

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from claude_headspace.cli.command import Declare
    from claude_headspace.config import Config
    from claude_headspace.hooks.entries import Version
    from claude_headspace.hooks.install import EditReport


@command("hook", "claude-headspace hook --inbox /home/me/claude-headspace/var/inbox")
@option("--inbox", "DIR", "the inbox; faster, because the configuration is not read")
def hook(inbox: str | None) -> int:
    """Record one hook call of Claude Code (JSON on standard input).

    Claude Code runs this command; `hooks install` adds it to the settings. Prints nothing and
    always exits with 0; errors go to hook-errors.log beside the inbox.
    """
    return run_hook(["--inbox", inbox] if inbox else [])


@group("hooks", "claude-headspace hooks install --dry-run")
def hooks() -> None:
    """Install, remove or check Claude Code's hooks.

    Changes only our own entries in Claude Code's settings.
    """


def _settings_option() -> Declare:
    told = "the settings file (default: the user's settings.json)"
    return option("--settings", "FILE", told, type=path)


def _version_option(**settings: Any) -> Declare:
    told = "the version of Claude Code (default: ask `claude`)"
    return option("--claude-version", "VERSION", told, **settings)


def _dry_run() -> Declare:
    return flag("--dry-run", "show the changes without making them")


@command("install", "claude-headspace hooks install --dry-run", of=hooks)
@_settings_option()
@_version_option()
@_dry_run()
@flag("--yes", "do not ask")
def install_hooks(
    settings: str | None, claude_version: str | None, *, dry_run: bool, yes: bool
) -> int:
    """Add our hooks to Claude Code's settings.

    Shows the changes, asks for confirmation on a terminal, and keeps one backup.
    """
    from claude_headspace.cli.access import configured_inbox
    from claude_headspace.hooks.install import install

    inbox, file, version = configured_inbox(), _file(settings), _version(claude_version)
    return _edit(
        lambda dry: install(file, inbox, version=version, dry_run=dry), dry_run=dry_run, yes=yes
    )


@command("remove", "claude-headspace hooks remove --dry-run", of=hooks)
@_settings_option()
@_version_option(expose_value=False)
@_dry_run()
@flag("--yes", "do not ask")
def remove_hooks(settings: str | None, *, dry_run: bool, yes: bool) -> int:
    """Remove our hooks from Claude Code's settings.

    Shows the changes, asks for confirmation on a terminal, and keeps one backup.
    """
    from claude_headspace.cli.access import configured_inbox
    from claude_headspace.hooks.install import remove

    inbox, file = configured_inbox(), _file(settings)
    return _edit(lambda dry: remove(file, inbox, dry_run=dry), dry_run=dry_run, yes=yes)


def _edit(edit: Callable[[bool], EditReport], *, dry_run: bool, yes: bool) -> int:
    """Show the changes, then write them unless the user declines."""
    from claude_headspace.cli.terminal import agreed, printable
    from claude_headspace.hooks.install import describe_edit

    planned = edit(True)
    for line in planned.diff.splitlines():
        print(printable(line))
    if planned.changes and not dry_run:
        if not (yes or agreed("Write these changes?")):
            print("Nothing was changed.")
            return 1
        planned = edit(False)
    for line in describe_edit(planned).removeprefix(planned.diff).strip("\n").splitlines():
        print(printable(line))
    return 0


def _file(settings: str | None) -> Path:
    from pathlib import Path

    from claude_headspace.hooks.settings_file import default_settings_path

    return Path(settings) if settings else default_settings_path()


def _version(given: str | None) -> Version | None:
    from claude_headspace.errors import HookSettingsError
    from claude_headspace.hooks.install import claude_version, parse_version

    if given is None:
        return claude_version()
    version = parse_version(given)
    if version is None:
        raise HookSettingsError(f"{given!r} is not a version of Claude Code: give one like 2.1.240")
    return version


@command("status", "claude-headspace hooks status", of=hooks)
@_settings_option()
@_version_option()
def hooks_status(settings: str | None, claude_version: str | None) -> int:
    """Show which hooks are configured, and when each was seen.

    Exit status 1 if there are problems.
    """
    import sys

    from claude_headspace.cli.access import inbox_of
    from claude_headspace.cli.terminal import print_wrapped
    from claude_headspace.errors import DatabaseError
    from claude_headspace.hooks.configured import describe_status, status

    config = configured()
    seen: list[tuple[str, datetime]] = []
    try:
        seen = _hooks_seen(config)
    except DatabaseError as error:
        print(f"claude-headspace: cannot tell which hooks were seen: {error}", file=sys.stderr)
    version = _version(claude_version)
    found = status(_file(settings), inbox_of(config), version=version, seen=seen)
    print_wrapped(describe_status(found).splitlines())
    return 1 if found.problems else 0


def _hooks_seen(config: Config) -> list[tuple[str, datetime]]:
    from claude_headspace.cli.access import open_log
    from claude_headspace.store.queries import hooks_seen

    with open_log(config) as connection:
        return hooks_seen(connection)
