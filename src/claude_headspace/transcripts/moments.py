"""Times as the operating system reports them."""

from __future__ import annotations

from datetime import UTC, datetime


def instant(epoch_seconds: float) -> datetime:
    """A moment of the operating system's, which knows years that no calendar of ours has."""
    try:
        return datetime.fromtimestamp(epoch_seconds, tz=UTC)
    except (ValueError, OverflowError, OSError):
        end = datetime.max if epoch_seconds > 0 else datetime.min
        return end.replace(tzinfo=UTC)
