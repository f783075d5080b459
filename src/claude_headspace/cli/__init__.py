"""The command line, `claude-headspace`: one module per group of commands.

Claude Code waits for `hook`, so that command is dispatched before anything else is loaded.
"""

from __future__ import annotations

import gc
import os
import signal
import sys

TYPE_CHECKING = False  # importing typing would take a good part of a hook's time
if TYPE_CHECKING:
    from collections.abc import Sequence

_HELP = frozenset({"-h", "--help"})
_OBJECTS_BEFORE_COLLECTION = 50_000


def main() -> int:
    """Run the command line of this process; returns the exit status, or ends with it."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["hook"] and _HELP.isdisjoint(arguments):
        return run_hook(arguments[1:])
    # Imports create many objects and no garbage; collecting would slow down the start.
    gc.set_threshold(_OBJECTS_BEFORE_COLLECTION)
    # Ctrl-C ends us quietly even while the driver waits for a server that hangs.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from contextlib import suppress

    from claude_headspace.cli.program import run

    status = run(arguments)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    # What Python would take down piece by piece, for as long as a query takes, the system removes.
    os._exit(status)


def run_hook(arguments: Sequence[str]) -> int:
    """The hook command; prints nothing and returns 0, whatever happens."""
    from claude_headspace.errors import HeadspaceError
    from claude_headspace.hooks.command import main

    if not arguments:
        try:
            from claude_headspace.cli.access import configured, inbox_of

            arguments = ["--inbox", str(inbox_of(configured()))]
        except (HeadspaceError, OSError, ImportError):
            return 0  # without an inbox there is nowhere to report it
    return main(arguments)
