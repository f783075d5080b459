"""All commands, and the one place that turns errors into a message and an exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib import import_module

import click

from claude_headspace.cli.command import CommandGroup, command
from claude_headspace.cli.terminal import encode_anything, printable, terminal_width
from claude_headspace.errors import (
    START_COMMAND,
    ConfigError,
    DatabaseError,
    DatabaseUnavailable,
    HeadspaceError,
)

NAME = "claude-headspace"
COMPLETE = "_CLAUDE_HEADSPACE_COMPLETE"
DESCRIPTION = "The event log of Claude Code: every turn of every session, in Postgres."
# Sections of the help, and the module of this package that declares each command.
SECTIONS: dict[str, dict[str, str]] = {
    "Read": {
        "sessions": "sessions", "show": "show", "search": "search", "resume": "sessions",
        "today": "report", "report": "report", "events": "events", "export": "export",
        "usage": "report", "tools": "report", "open": "page", "psql": "database",
    },
    "Watch": {
        "status": "status", "doctor": "doctor", "hosts": "hosts", "rejected": "verify",
        "restarts": "hosts", "verify": "verify",
    },
    "Keep": {
        "emit": "emit", "restore": "archive", "register": "capture", "unregister": "capture",
        "forget": "archive", "redact": "archive", "rebuild": "verify", "backup": "archive",
        "restore-backup": "archive",
    },
    "Run": {
        "up": "running", "down": "running", "restart": "running", "drain": "running",
        "logs": "running", "supervisorctl": "running", "watcher": "capture", "hook": "hooks",
        "migrate": "database", "grants": "database",
    },
    "Set up": {
        "service": "running", "hooks": "hooks", "mcp": "page", "completion": "program",
        "check-config": "doctor", "database-url": "database", "token": "page",
    },
}  # fmt: skip
_MODULES = {name: module for names in SECTIONS.values() for name, module in names.items()}
EPILOG = """
exit statuses:
  0   success; for status: healthy; for doctor: all well
  1   failure; for status: degraded; for doctor: warnings; for search: nothing was found; for \
verify: the log is incomplete; for drain: something has not arrived; for hooks status and service \
status: problems were found
  2   for status: down; for doctor: something is broken
  64  wrong usage
  65  invalid input: an event, or Claude Code's settings
  66  no such session, project or dead letter in the log, or more than one match
  69  the database, or another required program, is not available
  70  internal error: run the command again with --debug
  73  the inbox, or the state directory, cannot be written
  75  another instance uses the same state directory
  78  the configuration has mistakes
  130 interrupted
  141 the program that read the output closed it

Settings come from config.yaml, or from the file that CLAUDE_HEADSPACE_CONFIG names. \
`claude-headspace check-config` prints them.
example:
  claude-headspace sessions --help"""
USAGE_ERROR = 64
INTERNAL_ERROR = 70
READER_GONE = 141
COMPLETION_SECONDS = 2


class Program(CommandGroup):
    """Imports a command only when it is used or listed."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """The commands of all sections."""
        return list(_MODULES)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name."""
        if cmd_name not in _MODULES:
            return None
        declared = vars(import_module(f"claude_headspace.cli.{_MODULES[cmd_name]}")).values()
        return next(
            each for each in declared if isinstance(each, click.Command) and each.name == cmd_name
        )

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands by section, each in its declared order."""
        for title, names in SECTIONS.items():
            found = [(name, self.get_command(ctx, name)) for name in names]
            with formatter.section(title):
                formatter.write_dl(
                    [(name, each.get_short_help_str()) for name, each in found if each]
                )


def build_program() -> Program:
    """The whole command line."""
    shown = {"help_option_names": ["-h", "--help"], "terminal_width": (terminal_width() or 82) - 2}
    debug = click.Option(
        ["--debug"], is_flag=True, expose_value=False, help="print the traceback of an error"
    )
    # Not loaded yet: click suggests similar names of these.
    named = dict.fromkeys(_MODULES, click.Command(NAME))
    program = Program(
        NAME, named, params=[debug], help=DESCRIPTION, epilog=EPILOG, context_settings=shown,
        no_args_is_help=False,
    )  # fmt: skip
    version = click.version_option(package_name=NAME, message="%(prog)s %(version)s")
    return version(program)


@command(
    "completion",
    "echo 'eval \"$(claude-headspace completion bash)\"' >> ~/.bashrc",
    "echo 'eval \"$(claude-headspace completion zsh)\"' >> ~/.zshrc",
    "claude-headspace completion fish > ~/.config/fish/completions/claude-headspace.fish",
)
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def completion(shell: str) -> int:
    """Print the shell script that completes commands, options, sessions and projects.

    Names come from the log, if it answers within two seconds.
    """
    from click.shell_completion import get_completion_class

    if made := get_completion_class(shell):
        print(made(build_program(), {}, NAME, COMPLETE).source())
    return 0


def run(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit status."""
    encode_anything()
    program = build_program()
    if asked := os.environ.get(COMPLETE):
        return _complete(program, asked)
    try:
        status = _invoke(program, arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # Python would flush standard output at exit, and fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE
    except (KeyboardInterrupt, click.Abort):
        return 130
    except Exception as error:  # noqa: BLE001 - said in one line, ended with its status
        return _fail(error, debug="--debug" in arguments)
    return status


def _invoke(program: Program, arguments: Sequence[str]) -> int:
    try:
        with program.make_context(NAME, list(arguments)) as context:
            status: int = program.invoke(context)
    except click.exceptions.Exit as ended:
        return ended.exit_code
    return status


def _complete(program: Program, asked: str) -> int:
    """Print completions for a shell; none if that takes too long."""
    import signal

    from click.shell_completion import shell_complete

    signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
    signal.alarm(COMPLETION_SECONDS)
    try:
        return shell_complete(program, {}, NAME, COMPLETE, asked)
    finally:
        signal.alarm(0)


def _fail(error: Exception, *, debug: bool) -> int:
    if isinstance(error, click.UsageError):
        print(printable(_wrong_usage(error)), file=sys.stderr)
        return USAGE_ERROR
    if debug:
        import traceback

        traceback.print_exception(error)
    if isinstance(error, DatabaseUnavailable) and _nothing_runs(str(error)):
        _complain(f"the embedded Postgres is not running: start everything with `{START_COMMAND}`")
        return error.exit_status
    if isinstance(error, (HeadspaceError, OSError)):
        configuration = isinstance(error, ConfigError)
        _complain("the configuration has mistakes" if configuration else ": ".join(_chain(error)))
        for problem in getattr(error, "problems", ()):
            print(f"  {printable(problem)}", file=sys.stderr)
        return getattr(error, "exit_status", HeadspaceError.exit_status)
    _complain(f"internal error (--debug prints the traceback): {type(error).__name__}: {error}")
    return INTERNAL_ERROR


def _nothing_runs(told: str) -> bool:
    """Whether this is about our embedded server, which nobody has started."""
    from claude_headspace.cli.access import configured
    from claude_headspace.embedded.location import server_record
    from claude_headspace.supervision.instance import is_locked

    with suppress(HeadspaceError, OSError):
        state = configured().state.directory
        record = server_record(state)
        return record is not None and str(record.socket) in told and not is_locked(state)
    return False


def _wrong_usage(error: click.UsageError) -> str:
    """One line, which names the help of the command that was misused."""
    path = error.ctx.command_path if error.ctx else NAME
    near = getattr(error, "possibilities", None)
    told = error.message if near is not None else error.format_message()
    guess = f" (did you mean {near[0]}?)" if near else ""
    told = " ".join(told.split()).rstrip(".")
    return f"{path}: {told[:1].lower()}{told[1:]}{guess} (see {path} --help)"


def _complain(problem: str) -> None:
    print(f"{NAME}: {printable(problem)}", file=sys.stderr)


def _chain(error: BaseException | None) -> Iterator[str]:
    """The messages of an error and its causes, outermost first, without repetition."""
    said = ""
    while error is not None:
        told = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, OSError) and error.filename is not None:
            told = f"{error.filename}: {error.strerror}"
        # The cause often is the error of the system that the message quotes.
        if (getattr(error, "strerror", None) or told) not in said:
            yield told
            said += told
        # Our database errors quote the server; their causes would add only our own SQL.
        error = None if isinstance(error, DatabaseError) else error.__cause__
