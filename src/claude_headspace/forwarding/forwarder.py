"""Pushes page after page, and waits for servers that are away."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from claude_headspace.errors import DatabaseUnavailable
from claude_headspace.forwarding.central_log import CentralLog
from claude_headspace.forwarding.local_log import LocalLog

REST_SECONDS = 1.0
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class Forwarder:
    """`bytes_per_second` limits the average rate; None means no limit.

    `tell` is called with what it waits for, and with nothing when it goes on.
    """

    local: LocalLog
    central: CentralLog
    bytes_per_second: int | None = None
    pause: Callable[[float], None] = time.sleep
    tell: Callable[[str], object] = str

    def __post_init__(self) -> None:
        self._begun = False

    def run(self) -> None:
        """Run for ever."""
        pause, told = _FIRST_PAUSE_SECONDS, "nothing yet"
        while True:
            try:
                is_done = not self.step()
                if told:
                    self.tell("")
                pause, told = _FIRST_PAUSE_SECONDS, ""
                if is_done:
                    self.local.wait(REST_SECONDS)
            except DatabaseUnavailable as error:
                self._begun = False
                if str(error) != told:
                    told = str(error)
                    logger.warning("waiting: %s", told)
                    self.tell(told)
                self.pause(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    def close(self) -> None:
        """Close both connections."""
        self.local.close()
        self.central.close()

    def step(self) -> bool:
        """Push one page; returns whether there was anything to push."""
        if not self._begun:
            self.local.begin(*self.central.begin())
            self._begun = True
        page = self.local.read()
        if not page.due:
            return False
        self.central.write(page)
        self.local.arrived(page, self.central.pages)
        if self.bytes_per_second:
            size = sum(len(due.row or due.key or "") for due in page.due)
            self.pause(size / self.bytes_per_second)
        return True
