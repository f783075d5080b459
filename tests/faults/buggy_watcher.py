"""The watcher with bugs that are errors: a line may raise one, and every look may be slow."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from functools import partial

from claude_headspace.sessions.registrations import Registrations
from claude_headspace.store.sessions import Registration
from claude_headspace.transcripts import transcript
from claude_headspace.transcripts.parsed import Parsed

MARKER = b"line that meets a bug"
SLOW = "SLOW_LOOK_SECONDS"


class BuggyTranscript(transcript.Transcript):
    """Reads as the real one does, unless a line holds the marker."""

    def parse(self, line: bytes, start: int) -> Sequence[Parsed]:
        if MARKER in line:
            raise RuntimeError("a bug")
        return super().parse(line, start)


def failing_registrations() -> None:
    """Registrations cannot be asked for while one of them has the marker as its pane."""
    real = Registrations.waiting

    def asked(self: Registrations) -> list[Registration]:
        found = real(self)
        if any(each.iterm_pane_id == MARKER.decode() for each in found):
            raise RuntimeError("a bug")
        return found

    Registrations.waiting = asked  # type: ignore[method-assign]


def slow_looks(seconds: float) -> None:
    real = os.stat

    def stat(path: str) -> os.stat_result:
        if str(path).endswith(".jsonl"):
            time.sleep(seconds)
        return real(path)

    from claude_headspace.discovery import scanner

    scanner.Scanner = partial(scanner.Scanner, look_at=stat)  # type: ignore[misc,assignment]


def main() -> int:
    transcript.Transcript = BuggyTranscript  # type: ignore[misc]
    failing_registrations()
    if SLOW in os.environ:
        slow_looks(float(os.environ[SLOW]))
    from claude_headspace.watcher.process import main as watch

    return watch()


if __name__ == "__main__":
    sys.exit(main())
