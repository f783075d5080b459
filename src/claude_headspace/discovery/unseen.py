"""Sources that are known from before, and that the first listing has not come upon yet."""

from __future__ import annotations

from claude_headspace.store.checkpoints import CommittedSource


class Unseen:
    """Committed bytes by path; empty when every source was seen, or looked for."""

    def __init__(self) -> None:
        # Negative less one where nothing was read of it for a day.
        self._sizes: dict[str, int] = {}

    def add(self, source: CommittedSource) -> None:
        """One that is to be seen."""
        self._sizes[source.path] = source.size if source.recent else -source.size - 1

    def __bool__(self) -> bool:
        return bool(self._sizes)

    def take(self, path: str) -> int:
        """The committed bytes of a source that was seen; 0 for an unknown one."""
        return _size(self._sizes.pop(path, 0))

    def take_any(self) -> tuple[str, int, bool]:
        """Path, committed bytes, and whether it was read of late."""
        path, known = self._sizes.popitem()
        return path, _size(known), known >= 0


def _size(known: int) -> int:
    return known if known >= 0 else -known - 1
