"""How a process ended, in words."""

from __future__ import annotations

import os
import signal


def exit_code_of(wait_status: int) -> int:
    """The exit status, or minus the signal's number."""
    return os.waitstatus_to_exitcode(wait_status)


def explain_exit(exit_code: int) -> str:
    """`exit status 1` or `killed by SIGKILL`."""
    if exit_code >= 0:
        return f"exit status {exit_code}"
    try:
        return f"killed by {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"killed by signal {-exit_code}"
