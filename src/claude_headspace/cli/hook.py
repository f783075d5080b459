"""`claude-headspace hook`, for which Claude Code waits: it imports almost nothing."""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing would take a good part of a hook's time
if TYPE_CHECKING:
    from collections.abc import Sequence


def run_hook(arguments: Sequence[str]) -> int:
    """The hook command; prints nothing and returns 0, whatever happens."""
    from claude_headspace.hooks.command import main

    return main(arguments or _inbox_arguments())


def _inbox_arguments() -> list[str]:
    from claude_headspace.errors import HeadspaceError

    try:
        from claude_headspace.cli.access import configured_inbox

        return ["--inbox", str(configured_inbox())]
    except (HeadspaceError, OSError, ImportError):
        return []  # without an inbox there is nowhere to report it
