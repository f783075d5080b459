"""Files with an unfinished end: a line without a newline, or a prompt without a line."""

from __future__ import annotations

import time
from collections.abc import Iterator

from claude_headspace.capture.pipeline import CaptureStep
from claude_headspace.capture.sources import ActiveSource


class Unfinished:
    """Knows how long each file has been idle; after `wait_seconds` its end is read as it is."""

    def __init__(self, wait_seconds: float) -> None:
        self._wait = wait_seconds
        # The size when last seen, and when its end is due.
        self._files: dict[str, tuple[int, float]] = {}

    def __len__(self) -> int:
        return len(self._files)

    def __contains__(self, path: object) -> bool:
        return path in self._files

    @property
    def due(self) -> float | None:
        """When, on the monotonic clock, the next one is due."""
        return min((due for _, due in self._files.values()), default=None)

    def note(self, source: ActiveSource, step: CaptureStep) -> None:
        """Record that a file was read to its current end."""
        if not step.unfinished and not step.holds_prompts:
            self.forget(source.path)
            return
        seen = source.file.stat
        known = self._files.get(source.path)
        if known is None or known[0] != seen.st_size:
            still_for = max(0.0, time.time() - seen.st_mtime)
            due = time.monotonic() + max(0.0, self._wait - still_for)
            self._files[source.path] = (seen.st_size, due)

    def forget(self, path: str) -> None:
        """Forget a file whose end is complete."""
        self._files.pop(path, None)

    def take_due(self) -> Iterator[tuple[str, int]]:
        """Path and size of each file that has been idle for long enough."""
        now = time.monotonic()
        for path in [path for path, (_, due) in self._files.items() if due <= now]:
            yield path, self._files.pop(path)[0]
