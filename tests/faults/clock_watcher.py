"""The watcher in a world whose clock SIGUSR1 sets a day forward, and SIGUSR2 two days back."""

from __future__ import annotations

import datetime
import signal
import sys
import time
from types import FrameType

DAY = 86_400.0
true_time, true_time_ns = time.time, time.time_ns
shift = 0.0


class ShiftedDatetime(datetime.datetime):
    """A datetime class whose now is the shifted one."""

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> ShiftedDatetime:
        return cls.fromtimestamp(shifted(), tz)


def shifted() -> float:
    return true_time() + shift


def shifted_ns() -> int:
    return true_time_ns() + int(shift * 1e9)


def jump(number: int, _: FrameType | None) -> None:
    global shift
    shift += DAY if number == signal.SIGUSR1 else -2 * DAY


def main() -> int:
    time.time, time.time_ns = shifted, shifted_ns
    datetime.datetime = ShiftedDatetime  # type: ignore[misc]
    signal.signal(signal.SIGUSR1, jump)
    signal.signal(signal.SIGUSR2, jump)
    from claude_headspace.watcher.process import main as watch

    return watch()


if __name__ == "__main__":
    sys.exit(main())
