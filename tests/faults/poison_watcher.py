"""The watcher with bugs: lines that hold a marker end the process at once, or hang it."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence

from claude_headspace.transcripts import transcript
from claude_headspace.transcripts.parsed import Parsed

MARKER = b"deadly line"
HANGING = b"endless line"


class DeadlyTranscript(transcript.Transcript):
    """Reads as the real one does, unless a line holds the marker."""

    def parse(self, line: bytes, start: int) -> Sequence[Parsed]:
        if MARKER in line:
            os.kill(os.getpid(), signal.SIGKILL)
        if HANGING in line:
            time.sleep(1e6)
        return super().parse(line, start)


def main() -> int:
    transcript.Transcript = DeadlyTranscript  # type: ignore[misc]
    from claude_headspace.watcher.process import main as watch

    return watch()


if __name__ == "__main__":
    sys.exit(main())
