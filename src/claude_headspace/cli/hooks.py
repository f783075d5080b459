"""Claude Code's hooks: the command that they run, and its entries in the settings."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from claude_headspace.cli import run_hook
from claude_headspace.cli.access import configured, inbox_of, open_log
from claude_headspace.cli.command import command, flag, group, option, yes
from claude_headspace.cli.naming import absolute
from claude_headspace.cli.terminal import agreed, print_wrapped, printable
from claude_headspace.errors import DatabaseError, HookSettingsError
from claude_headspace.hooks import install as claude
from claude_headspace.hooks.edit import EditReport
from claude_headspace.hooks.entries import Version
from claude_headspace.hooks.settings_file import default_settings_path

_SETTINGS = option(
    "--settings", "FILE", "the settings file (default: the user's settings.json)", type=absolute
)
_VERSION = ("--claude-version", "VERSION", "the version of Claude Code (default: ask `claude`)")
_DRY_RUN = flag("--dry-run", "show the changes without making them")


@command("hook", "claude-headspace hook --inbox /home/me/claude-headspace/var/inbox")
@option("--inbox", "DIR", "the inbox; this is faster than reading the configuration")
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


@command("install", "claude-headspace hooks install --dry-run", of=hooks)
@_SETTINGS
@option(*_VERSION)
@_DRY_RUN
@yes
def install_hooks(
    settings: str | None, claude_version: str | None, *, dry_run: bool, yes: bool
) -> int:
    """Add our hooks to Claude Code's settings.

    Shows the changes, asks for confirmation on a terminal, and keeps one backup.
    """
    file, inbox, version = _file(settings), inbox_of(configured()), _version(claude_version)
    return _edit(partial(claude.install, file, inbox, version=version), dry_run=dry_run, yes=yes)


@command("remove", "claude-headspace hooks remove --dry-run", of=hooks)
@_SETTINGS
@option(*_VERSION, expose_value=False)
@_DRY_RUN
@yes
def remove_hooks(settings: str | None, *, dry_run: bool, yes: bool) -> int:
    """Remove our hooks from Claude Code's settings.

    Shows the changes, asks for confirmation on a terminal, and keeps one backup.
    """
    remove = partial(claude.remove, _file(settings), inbox_of(configured()))
    return _edit(remove, dry_run=dry_run, yes=yes)


def _edit(edit: Callable[..., EditReport], *, dry_run: bool, yes: bool) -> int:
    """Show the changes, then write them unless the user declines."""
    report = edit(dry_run=True)
    for line in report.diff.splitlines():
        print(printable(line))
    if report.changes and not dry_run:
        if not (yes or agreed("Write these changes?")):
            print("Nothing was changed.")
            return 1
        report = edit(dry_run=False)
    for line in claude.describe_edit(report).removeprefix(report.diff).strip("\n").splitlines():
        print(printable(line))
    return 0


def _file(settings: str | None) -> Path:
    return Path(settings) if settings else default_settings_path()


def _version(given: str | None) -> Version | None:
    if given is None:
        return claude.claude_version()
    version = claude.parse_version(given)
    if version is None:
        raise HookSettingsError(f"{given!r} is not a version of Claude Code: give one like 2.1.240")
    return version


@command("status", "claude-headspace hooks status", of=hooks)
@_SETTINGS
@option(*_VERSION)
def hooks_status(settings: str | None, claude_version: str | None) -> int:
    """Show which hooks are configured, and when each was seen.

    Exit status 1 if there are problems.
    """
    from claude_headspace.store.queries import hooks_seen

    config = configured()
    seen = []
    try:
        with open_log(config) as connection:
            seen = hooks_seen(connection)
    except DatabaseError as error:
        print(f"claude-headspace: cannot tell which hooks were seen: {error}", file=sys.stderr)
    version = _version(claude_version)
    found = claude.status(_file(settings), inbox_of(config), version=version, seen=seen)
    print_wrapped(claude.describe_status(found).splitlines())
    return 1 if found.problems else 0
