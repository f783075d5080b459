"""How a process ended, in words."""

from __future__ import annotations

import os
import signal
from typing import Any


class ExitCodes:
    """The exit status of the last ended process, or minus the number of its signal.

    supervisord drops the status of an early death before it notifies anybody.
    """

    def __init__(self, options: Any) -> None:
        self._options = options
        self._last: tuple[int, int] | None = None

    def install(self) -> None:
        """Record what supervisord's own waitpid returns from now on."""
        waitpid = self._options.waitpid

        def remembering() -> tuple[int | None, int | None]:
            pid, status = waitpid()
            if pid:
                self._last = pid, os.waitstatus_to_exitcode(status)
            return pid, status

        self._options.waitpid = remembering

    def of(self, pid: int) -> int | None:
        """The status of this process, if it was the last."""
        return self._last[1] if self._last and self._last[0] == pid else None


def explain_exit(exit_code: int) -> str:
    """`exit status 1` or `killed by SIGKILL`."""
    if exit_code >= 0:
        return f"exit status {exit_code}"
    try:
        return f"killed by {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"killed by signal {-exit_code}"
