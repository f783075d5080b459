"""Claude Code's hooks: the command that they run, and their place in its settings."""

from __future__ import annotations

TYPE_CHECKING = False  # the module typing would be a good part of a hook's time
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    from claude_headspace.cli.command import Commands
    from claude_headspace.config import Config
    from claude_headspace.hooks.install import EditReport
    from claude_headspace.hooks.settings import Version


def configure(commands: Commands) -> None:
    """Declare `hook` and `hooks`."""
    from claude_headspace.cli.command import add

    parser = add(
        commands, "hook", hook, "record one hook call of Claude Code (JSON on standard input)",
        "For Claude Code's settings, see `hooks install`. Prints nothing and always ends with 0;\n"
        "what goes wrong is noted in hook-errors.log beside the inbox.",
        "claude-headspace hook --inbox /home/me/claude-headspace/var/inbox",
    )  # fmt: skip
    parser.add_argument(
        "--inbox", metavar="DIR", help="the inbox; faster, because the configuration is not read"
    )
    _configure_settings(commands)


def _configure_settings(commands: Commands) -> None:
    from claude_headspace.cli.command import add

    group = commands.add_parser(
        "hooks",
        help="install, remove or check Claude Code's hooks",
        description="Edits Claude Code's settings, and changes nothing else in them.",
        epilog="example:\n  claude-headspace hooks install --dry-run",
    )
    actions = group.add_subparsers(title="actions", metavar="ACTION", required=True)
    edits = (
        ("install", install_hooks, "add our hooks to Claude Code's settings"),
        ("remove", remove_hooks, "remove our hooks from Claude Code's settings"),
    )
    for name, run, summary in edits:
        parser = add(
            actions, name, run, summary,
            "Shows the changes, asks for confirmation on a terminal, and keeps one backup.",
            f"claude-headspace hooks {name} --dry-run",
        )  # fmt: skip
        _add_settings(parser.add_argument)
        parser.add_argument(
            "--dry-run", action="store_true", help="show the changes without making them"
        )
        parser.add_argument("--yes", action="store_true", help="do not ask")
    parser = add(
        actions, "status", hooks_status, "show which hooks are configured, and when each was seen",
        "Exit status 1 if there are problems.",
        "claude-headspace hooks status",
    )  # fmt: skip
    _add_settings(parser.add_argument)


def _add_settings(add_argument: Callable[..., object]) -> None:
    from claude_headspace.cli.command import path

    add_argument(
        "--settings", type=path, metavar="FILE",
        help="the settings file (default: the user's settings.json)",
    )  # fmt: skip
    add_argument(
        "--claude-version",
        metavar="VERSION",
        help="the version of Claude Code (default: it is asked)",
    )


def run_hook(arguments: Sequence[str]) -> int:
    """The hook command; 0 and silence whatever happens."""
    from claude_headspace.hooks.command import main

    return main(arguments or _inbox_arguments())


def hook(arguments: Namespace) -> int:
    """The same, for a command line with other options before it."""
    return run_hook(["--inbox", arguments.inbox] if arguments.inbox else [])


def _inbox_arguments() -> list[str]:
    from claude_headspace.errors import HeadspaceError

    try:
        from claude_headspace.cli.access import configured_inbox

        return ["--inbox", str(configured_inbox())]
    except (HeadspaceError, OSError, ImportError):
        return []  # without an inbox there is no place to say it either


def install_hooks(arguments: Namespace) -> int:
    """Add our entries."""
    from claude_headspace.cli.access import configured_inbox
    from claude_headspace.hooks.install import install

    inbox, settings, version = configured_inbox(), _settings(arguments), _version(arguments)
    return _edit(
        lambda dry_run: install(settings, inbox, version=version, dry_run=dry_run), arguments
    )


def remove_hooks(arguments: Namespace) -> int:
    """Take our entries out."""
    from claude_headspace.cli.access import configured_inbox
    from claude_headspace.hooks.install import remove

    inbox, settings = configured_inbox(), _settings(arguments)
    return _edit(lambda dry_run: remove(settings, inbox, dry_run=dry_run), arguments)


def _edit(edit: Callable[[bool], EditReport], arguments: Namespace) -> int:
    """Show the difference, then write it unless somebody says no."""
    from claude_headspace.cli.terminal import printable
    from claude_headspace.hooks.install import describe_edit

    planned = edit(True)
    for line in planned.diff.splitlines():
        print(printable(line))
    if planned.changes and not arguments.dry_run:
        if not (arguments.yes or _agreed()):
            print("Nothing was changed.")
            return 1
        planned = edit(False)
    for line in describe_edit(planned).removeprefix(planned.diff).strip("\n").splitlines():
        print(printable(line))
    return 0


def _agreed() -> bool:
    """Whether the person at the terminal agrees; a script has agreed by its command."""
    import sys

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return True
    try:
        return input("Write these changes? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def _settings(arguments: Namespace) -> Path:
    from pathlib import Path

    from claude_headspace.hooks.settings_file import default_settings_path

    return Path(arguments.settings) if arguments.settings else default_settings_path()


def _version(arguments: Namespace) -> Version | None:
    from claude_headspace.errors import HookSettingsError
    from claude_headspace.hooks.install import claude_version, parse_version

    if arguments.claude_version is None:
        return claude_version()
    version = parse_version(arguments.claude_version)
    if version is None:
        raise HookSettingsError(
            f"{arguments.claude_version!r} is not a version of Claude Code: give one like 2.1.240"
        )
    return version


def hooks_status(arguments: Namespace) -> int:
    """Print what is configured and what was seen."""
    import sys

    from claude_headspace.cli.access import inbox_of
    from claude_headspace.cli.terminal import printable
    from claude_headspace.config import load_config
    from claude_headspace.errors import DatabaseError
    from claude_headspace.hooks.report import describe_status, status

    config = load_config()
    seen: list[tuple[str, datetime]] = []
    try:
        seen = _hooks_seen(config)
    except DatabaseError as error:
        print(f"claude-headspace: cannot tell which hooks were seen: {error}", file=sys.stderr)
    found = status(_settings(arguments), inbox_of(config), version=_version(arguments), seen=seen)
    for line in describe_status(found).splitlines():
        print(printable(line))
    return 1 if found.problems else 0


def _hooks_seen(config: Config) -> list[tuple[str, datetime]]:
    from claude_headspace.cli.access import open_log
    from claude_headspace.store.queries import hooks_seen

    with open_log(config) as connection:
        return hooks_seen(connection)
