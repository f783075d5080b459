"""`claude-headspace hook`, for which Claude Code waits: it loads next to nothing."""

from __future__ import annotations

TYPE_CHECKING = False  # the module typing would be a good part of a hook's time
if TYPE_CHECKING:
    from collections.abc import Sequence


def run_hook(arguments: Sequence[str]) -> int:
    """The hook command; 0 and silence whatever happens."""
    from claude_headspace.hooks.command import main

    return main(arguments or _inbox_arguments())


def _inbox_arguments() -> list[str]:
    from claude_headspace.errors import HeadspaceError

    try:
        from claude_headspace.cli.access import configured_inbox

        return ["--inbox", str(configured_inbox())]
    except (HeadspaceError, OSError, ImportError):
        return []  # without an inbox there is no place to say it either
