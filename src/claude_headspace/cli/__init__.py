"""The command line, `claude-headspace`: one module per group of commands.

Claude Code waits for `hook`, so that command is dispatched before anything else is loaded.
"""

from __future__ import annotations

import signal
import sys

_HELP = frozenset({"-h", "--help"})


def main() -> int:
    """Run the command line of this process; returns the exit status."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["hook"] and _HELP.isdisjoint(arguments):
        from claude_headspace.cli.hook import run_hook

        return run_hook(arguments[1:])
    # Ctrl-C ends us quietly even while the driver waits for a server that hangs.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from claude_headspace.cli.program import run

    return run(arguments)
