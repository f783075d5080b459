"""The watcher with bugs: lines that hold a marker end the process at once, or hang it."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator

from claude_headspace.source import transcript

MARKER = b"deadly line"
HANGING = b"endless line"
real_outcomes = transcript.outcomes


def deadly_outcomes(line: bytes, start: int) -> Iterator[transcript.Outcome]:
    if MARKER in line:
        os.kill(os.getpid(), signal.SIGKILL)
    if HANGING in line:
        time.sleep(1e6)
    return real_outcomes(line, start)


def main() -> int:
    transcript.outcomes = deadly_outcomes
    from claude_headspace.watcher.process import main as watch

    return watch()


if __name__ == "__main__":
    sys.exit(main())
