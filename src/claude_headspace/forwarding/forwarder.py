"""Pushes page after page, and waits for servers that are away."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from claude_headspace.errors import DatabaseUnavailable
from claude_headspace.forwarding.central_log import CentralLog
from claude_headspace.forwarding.local_log import LocalLog, NewRows

REST_SECONDS = 1.0
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0

logger = logging.getLogger(__name__)


class Forwarder:
    """`bytes_per_second` limits the average rate; None means no limit."""

    def __init__(
        self,
        local: LocalLog,
        central: CentralLog,
        bytes_per_second: int | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._local = local
        self._central = central
        self._rate = bytes_per_second
        self._pause = pause
        self._begun = False

    def run(self) -> None:
        """Run for ever."""
        pause, told = _FIRST_PAUSE_SECONDS, ""
        while True:
            try:
                if not self.step():
                    self._local.wait(REST_SECONDS)
                pause, told = _FIRST_PAUSE_SECONDS, ""
            except DatabaseUnavailable as error:
                self._begun = False
                if str(error) != told:
                    told = str(error)
                    logger.warning("waiting: %s", told)
                self._pause(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    def close(self) -> None:
        """Close both connections."""
        self._local.close()
        self._central.close()

    def step(self) -> bool:
        """Push one page; returns whether there was anything to push."""
        if not self._begun:
            self._local.begin(*self._central.begin())
            self._begun = True
        page = self._local.read()
        if not page.due:
            return False
        self._central.write(page)
        self._local.arrived(page, self._central.pages)
        if self._rate:
            self._pause(_bytes(page) / self._rate)
        return True


def _bytes(page: NewRows) -> int:
    return sum(len(due.row or due.key or "") for due in page.due)
