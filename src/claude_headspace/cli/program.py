"""The parser of all commands, and the one place where their errors become a line and a status."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from typing import NoReturn

from claude_headspace.cli import (
    archive,
    capture,
    database,
    emit,
    hooks,
    log,
    page,
    rejected,
    running,
    state,
    usage,
    whole,
)  # fmt: skip
from claude_headspace.cli.command import Parser
from claude_headspace.cli.terminal import printable
from claude_headspace.errors import ConfigError, DatabaseError, HeadspaceError

DESCRIPTION = "The event log of Claude Code: every turn of every session, in Postgres."
EPILOG = """\
exit statuses:
  0   success; for status: healthy
  1   failure; for status: degraded; for hooks status: problems found
  2   for status: down
  64  wrong usage
  65  invalid input: an event, or Claude Code's settings
  66  no such session or project in the log, or more than one
  69  the database, or something it needs, is not available
  70  internal error: run the command again with --debug
  73  the inbox cannot be written
  75  another watcher is running
  78  the configuration has mistakes
  130 interrupted
  141 the program that read the output closed it

`claude-headspace COMMAND --help` shows more, with an example. Settings come from config.yaml, or
from the file that CLAUDE_HEADSPACE_CONFIG names; `claude-headspace check-config` prints them.
"""
INTERNAL_ERROR = 70
READER_GONE = 141


class _ShowVersion(argparse.Action):
    """Asks the installation only when somebody wants to know."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib.metadata import version

        print(f"claude-headspace {version('claude-headspace')}")
        parser.exit()


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = Parser("claude-headspace", description=DESCRIPTION, epilog=EPILOG)
    parser.add_argument("--version", action=_ShowVersion, nargs=0, help="print the version")
    parser.add_argument("--debug", action="store_true", help="print the traceback of an error")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    groups = (
        running,
        page,
        log,
        usage,
        rejected,
        whole,
        archive,
        state,
        capture,
        database,
        hooks,
        emit,
    )
    for group in groups:
        group.configure(commands)
    return parser


def run(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    debug = False
    try:
        parsed = build_parser().parse_args(arguments)
        debug = parsed.debug
        status: int = parsed.run(parsed)
        sys.stdout.flush()
    except BrokenPipeError:
        return _reader_gone()
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001 - said in one line, ended with its status
        return _fail(error, debug=debug)
    return status


def _fail(error: Exception, *, debug: bool) -> int:
    if debug:
        import traceback

        traceback.print_exception(error)
    if isinstance(error, ConfigError):
        _complain("the configuration has mistakes")
        for problem in error.problems:
            print(f"  {printable(problem)}", file=sys.stderr)
        return error.exit_status
    if isinstance(error, HeadspaceError):
        _complain(": ".join(_chain(error)))
        return error.exit_status
    if isinstance(error, OSError):
        _complain(": ".join(_chain(error)))
        return HeadspaceError.exit_status
    _complain(f"internal error (--debug prints the traceback): {type(error).__name__}: {error}")
    return INTERNAL_ERROR


def _complain(problem: str) -> None:
    print(f"claude-headspace: {printable(problem)}", file=sys.stderr)


def _chain(error: BaseException | None) -> Iterator[str]:
    """What each error says, from the outermost in, without what was said already."""
    said = ""
    while error is not None:
        told = " ".join(str(error).split()) or type(error).__name__
        if told not in said:
            yield told
            said += told
        # Ours for the database tell what the server said; below them is only our own SQL.
        error = None if isinstance(error, DatabaseError) else error.__cause__


def _reader_gone() -> int:
    """Python would flush standard output once more at its end, and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return READER_GONE
