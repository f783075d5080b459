"""Notices when a root or the inbox appears, disappears or is replaced."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from claude_headspace.discovery.listing import Look
from claude_headspace.transcripts.checkpoint import as_stored


class Roots:
    """Remembers the directory at each path."""

    def __init__(self, paths: Sequence[str], look_at: Look) -> None:
        self._paths = paths
        self._look_at = look_at
        self._identities: dict[str, tuple[int, int] | None] = {}

    def forget(self, path: str) -> None:
        """Report this path again at the next call of `changed`."""
        self._identities.pop(path, None)

    def changed(self) -> Iterator[str]:
        """The paths whose directory has changed; all of them at first."""
        for path in self._paths:
            identity = self._identity(path)
            if path not in self._identities or self._identities[path] != identity:
                self._identities[path] = identity
                yield path

    def _identity(self, path: str) -> tuple[int, int] | None:
        try:
            found = self._look_at(path)
        except OSError:
            return None
        return as_stored(found.st_dev), as_stored(found.st_ino)
