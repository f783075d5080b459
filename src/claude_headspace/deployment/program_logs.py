"""The programs' logs: their last lines, and new ones."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from claude_headspace.errors import START_COMMAND, BadQuestion, HeadspaceError

LOOK_SECONDS = 0.2
_LAST_BYTES = 256 * 1024


class LogFile:
    """One log, read from the last position on, across rotations."""

    def __init__(self, path: Path) -> None:
        self.program = path.stem
        self._path = path
        self._file = path.open("rb")
        self._begun = b""

    def last(self, count: int) -> list[str]:
        """Its last lines; reading continues after them."""
        self._file.seek(max(0, os.fstat(self._file.fileno()).st_size - _LAST_BYTES))
        lines = self._read_on()
        return lines[len(lines) - count :] if count < len(lines) else lines

    def fresh(self) -> list[str]:
        """The lines written since then."""
        lines = self._read_on()
        with suppress(FileNotFoundError):
            now, then = self._path.stat(), os.fstat(self._file.fileno())
            if not os.path.samestat(now, then):
                self._file.close()
                self._file = self._path.open("rb")
                lines += self._read_on()
            elif now.st_size < self._file.tell():
                self._file.seek(0)
                lines += self._read_on()
        return lines

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _read_on(self) -> list[str]:
        *whole, self._begun = (self._begun + self._file.read()).split(b"\n")
        return [line.decode("utf-8", "backslashreplace") for line in whole]


def open_logs(folder: Path, program: str | None) -> list[LogFile]:
    """The log of one program, or all logs; BadQuestion for a program without a log.

    HeadspaceError if nothing has been started yet.
    """
    paths = sorted(folder.glob("*.log"))
    if not paths:
        raise HeadspaceError(f"{folder} has no logs yet: start everything with `{START_COMMAND}`")
    if program is not None:
        known = ", ".join(path.stem for path in paths)
        paths = [path for path in paths if path.stem == program]
        if not paths:
            raise BadQuestion("program", f"{program!r} has no log in {folder} (logs: {known})")
    return [LogFile(path) for path in paths]


def log_lines(logs: Sequence[LogFile], count: int, *, follow: bool) -> Iterator[str]:
    """The last lines of each log, then all new ones; with program names if there are several."""
    width = max((len(log.program) for log in logs), default=0)
    lines = [(log, log.last(count)) for log in logs]
    with ExitStack() as stack:
        for log in logs:
            stack.callback(log.close)
        while True:
            for log, found in lines:
                mark = f"{log.program:<{width}}  " if len(logs) > 1 else ""
                yield from (mark + line for line in found)
            if not follow:
                return
            time.sleep(LOOK_SECONDS)
            lines = [(log, log.fresh()) for log in logs]
