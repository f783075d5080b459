"""The variable that tells the watcher that its supervisord enforces the restart limit."""

from __future__ import annotations

import os

from claude_headspace.errors import HeadspaceError
from claude_headspace.health.observation import WATCHER

MARK = "CLAUDE_HEADSPACE_GUARDED"


class Unguarded(HeadspaceError):
    """A supervisord would restart the watcher without a limit."""

    exit_status = 78


def check_guarded() -> None:
    """Raise Unguarded in a supervisord without the guard's plugin, which sets the variable."""
    if os.environ.get("SUPERVISOR_PROCESS_NAME") == WATCHER and MARK not in os.environ:
        raise Unguarded(
            "supervisord has no working [rpcinterface:guard], so nothing would limit restarts:"
            " copy the section from the shipped supervisord.conf"
        )
