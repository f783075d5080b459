"""Tries lines in a child process first, which dies instead of the watcher.

A child tries many lines and marks each as in flight in memory shared with the watcher. So the
watcher knows which line killed it, at the cost of one child per death.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import warnings
from collections.abc import Callable, Sequence
from typing import NoReturn

from claude_headspace.capture.in_flight import InFlight
from claude_headspace.supervision.single_watcher import kill_with_parent
from claude_headspace.transcripts.lines import Line

logger = logging.getLogger(__name__)

# As long as the guard lets a line block the watcher.
LINE_SECONDS = 3.0
_SLICE_SECONDS = 0.1

TakeApart = Callable[[Line], None]


class Trial:
    """Each death of a child counts against a line or ends the trial, so there are few."""

    def __init__(
        self, in_flight: InFlight, beat: Callable[[], None], line_seconds: float = LINE_SECONDS
    ) -> None:
        self._in_flight = in_flight
        self._beat = beat
        self._line_seconds = line_seconds

    def run(self, source_id: int, lines: Sequence[Line], take_apart: TakeApart) -> None:
        """Try the lines; afterwards `in_flight` knows which are poison."""
        left = [line for line in lines if not self._in_flight.is_poison(source_id, line.start)]
        while left and not self._child_survives(left, take_apart):
            place = self._in_flight.count_death()
            if place is None:
                logger.warning("the child process that tried lines was ended from outside")
                return
            left = [line for line in left if line.start >= place[1]]
            if self._in_flight.is_poison(*place):
                del left[0]

    def _child_survives(self, lines: Sequence[Line], take_apart: TakeApart) -> bool:
        parent = os.getpid()
        # The end of the child closes the other end, whatever its reason.
        ended, alive = os.pipe()
        try:
            pid = _fork()
            if not pid:
                self._try(parent, lines, take_apart)
        except OSError as error:
            logger.warning("lines cannot be tried in a child process first: %s", error)
            os.close(ended)
            return True
        finally:
            os.close(alive)
        return self._outlives(pid, ended)

    def _outlives(self, child: int, ended: int) -> bool:
        """Wait for the child to end; returns whether it ended by itself."""
        try:
            while not select.select([ended], [], [], _SLICE_SECONDS)[0]:
                self._beat()
        except BaseException:
            os.kill(child, signal.SIGKILL)
            self._in_flight.clear()
            raise
        finally:
            os.close(ended)
            _, status = os.waitpid(child, 0)
        return status == 0

    def _try(self, parent: int, lines: Sequence[Line], take_apart: TakeApart) -> NoReturn:
        """The child's work; an exception ends it at the line, as it would end the watcher."""
        try:
            kill_with_parent()
            for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            if os.getppid() == parent:
                for line in lines:
                    signal.setitimer(signal.ITIMER_REAL, self._line_seconds)
                    take_apart(line)
                os._exit(0)
        finally:
            os._exit(1)


def _fork() -> int:
    with warnings.catch_warnings():
        # About threads that the child will not have; it does not need them.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()
