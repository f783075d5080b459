"""Notices when a root, or the inbox, comes, goes, or is another directory now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from claude_headspace.discovery.listing import Look
from claude_headspace.transcripts.checkpoint import as_stored


class Roots:
    """Remembers which directory each path was."""

    def __init__(self, paths: Sequence[str], look_at: Look) -> None:
        self._paths = paths
        self._look_at = look_at
        self._identities: dict[str, tuple[int, int] | None] = {}

    def forget(self, path: str) -> None:
        """Report it again."""
        self._identities.pop(path, None)

    def changed(self) -> Iterator[str]:
        """Those that are not what they were; at first all."""
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
