"""Events from elsewhere: Claude Code's hooks, and the inbox from a shell."""

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
    """Declare the commands."""
    from claude_headspace.cli.command import add, moment

    parser = add(
        commands, "hook", hook, "take in what Claude Code tells a hook (on standard input)",
        "For Claude Code's settings, see `hooks install`. Prints nothing and always ends with 0;\n"
        "what goes wrong is noted in hook-errors.log beside the inbox.",
        "claude-headspace hook --inbox /home/me/claude-headspace/var/inbox",
    )  # fmt: skip
    parser.add_argument("--inbox", metavar="DIR", help="quicker: the settings need not be read")
    _configure_settings(commands)
    parser = add(
        commands, "emit", emit, "leave an event in the inbox, for the watcher to take in",
        "Needs neither Postgres nor the watcher. The event is on disk when its id is printed; the\n"
        "same id again is the same event. The payload must be what the type's schema asks for.",
        "claude-headspace emit hook_received --payload '{\"hook_type\": \"Stop\","
        ' "claude_session_id": "6f1d0a7e-0d3a-4c6b-9a0c-0123456789ab",'
        ' "working_directory": "/tmp"}\'',
    )  # fmt: skip
    parser.add_argument("type", metavar="TYPE", help="the event's type")
    parser.add_argument("--payload", required=True, metavar="JSON", help="an object; -: from stdin")
    parser.add_argument("--id", metavar="UUID", help="its identity (default: a new one)")
    parser.add_argument("--timestamp", type=moment, metavar="TIME", help="its time (default: now)")
    parser.add_argument("--inbox", metavar="DIR", help="another inbox than the configured one")


def _configure_settings(commands: Commands) -> None:
    from claude_headspace.cli.command import add

    group = commands.add_parser(
        "hooks",
        help="have Claude Code call `hook`, or no longer",
        description="Edits Claude Code's settings, and leaves everything else in them as it is.",
        epilog="example:\n  claude-headspace hooks install --dry-run",
    )
    actions = group.add_subparsers(title="actions", metavar="ACTION", required=True)
    edits = (
        ("install", install_hooks, "add our hooks to Claude Code's settings"),
        ("remove", remove_hooks, "take our hooks out of Claude Code's settings"),
    )
    for name, run, summary in edits:
        parser = add(
            actions, name, run, summary,
            "Shows the difference, asks on a terminal, and keeps one backup.",
            f"claude-headspace hooks {name} --dry-run",
        )  # fmt: skip
        _add_settings(parser.add_argument)
        parser.add_argument("--dry-run", action="store_true", help="show what would be changed")
        parser.add_argument("--yes", action="store_true", help="do not ask")
    parser = add(
        actions, "status", hooks_status, "show which hooks are configured and were really seen",
        "Exit status 1 if something is wrong.",
        "claude-headspace hooks status",
    )  # fmt: skip
    _add_settings(parser.add_argument)


def _add_settings(add_argument: Callable[..., object]) -> None:
    from claude_headspace.cli.command import path

    add_argument(
        "--settings", type=path, metavar="FILE",
        help="Claude Code's settings (default: settings.json of the user)",
    )  # fmt: skip
    add_argument("--claude-version", metavar="VERSION", help="Claude Code's (default: it is asked)")


def run_hook(arguments: Sequence[str]) -> int:
    """The hook command; 0 and silence whatever happens."""
    from claude_headspace.hooks.command import main

    return main(arguments or _configured_inbox())


def hook(arguments: Namespace) -> int:
    """The same, for a command line with other options before it."""
    return run_hook(["--inbox", arguments.inbox] if arguments.inbox else [])


def _configured_inbox() -> list[str]:
    from claude_headspace.cli.access import inbox_of
    from claude_headspace.errors import HeadspaceError

    try:
        from claude_headspace.config import load_config

        return ["--inbox", str(inbox_of(load_config()))]
    except (HeadspaceError, OSError, ImportError):
        return []  # without an inbox there is no place to say it either


def emit(arguments: Namespace) -> int:
    """Leave one event in the inbox."""
    from claude_headspace.inbox.producer import new_id, put

    payload = _payload(arguments.payload)
    identity = (arguments.id or new_id()).lower()
    _check(arguments.type, payload, arguments.timestamp)
    inbox = arguments.inbox or _inbox()
    print(put(inbox, arguments.type, payload, timestamp=arguments.timestamp, event_id=identity))
    return 0


def _payload(given: str) -> dict[str, object]:
    import json
    import sys

    from claude_headspace.errors import EventInvalid

    try:
        payload = json.loads(sys.stdin.read() if given == "-" else given)
    except (ValueError, RecursionError) as error:
        raise EventInvalid("payload", f"is not JSON ({error})") from error
    if not isinstance(payload, dict):
        raise EventInvalid("payload", f"must be a JSON object, is {type(payload).__name__}")
    return payload


def _check(event_type: str, payload: dict[str, object], timestamp: datetime | None) -> None:
    """Say now what the watcher would reject later."""
    from datetime import UTC, datetime

    from claude_headspace.events.event import NO_SESSION, Event
    from claude_headspace.events.taxonomy import installed_taxonomy

    when = timestamp or datetime.now(UTC)
    installed_taxonomy().check(Event(event_type, when, payload, NO_SESSION))


def _inbox() -> Path:
    from claude_headspace.cli.access import inbox_of
    from claude_headspace.config import load_config

    return inbox_of(load_config())


def install_hooks(arguments: Namespace) -> int:
    """Add our entries."""
    from claude_headspace.hooks.install import install

    inbox, settings, version = _inbox(), _settings(arguments), _version(arguments)
    return _edit(
        lambda dry_run: install(settings, inbox, version=version, dry_run=dry_run), arguments
    )


def remove_hooks(arguments: Namespace) -> int:
    """Take our entries out."""
    from claude_headspace.hooks.install import remove

    inbox, settings = _inbox(), _settings(arguments)
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
        return input("Write this? [y/N] ").strip().lower() in ("y", "yes")
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
            f"{arguments.claude_version!r} is no version of Claude Code: give one such as 2.1.240"
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
        print(f"claude-headspace: what was seen is not known: {error}", file=sys.stderr)
    found = status(_settings(arguments), inbox_of(config), version=_version(arguments), seen=seen)
    for line in describe_status(found).splitlines():
        print(printable(line))
    return 1 if found.problems else 0


def _hooks_seen(config: Config) -> list[tuple[str, datetime]]:
    from claude_headspace.cli.access import open_log
    from claude_headspace.store.queries import hooks_seen

    with open_log(config) as connection:
        return hooks_seen(connection)
