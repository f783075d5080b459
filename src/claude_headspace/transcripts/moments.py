"""Times from the operating system."""

from __future__ import annotations

from datetime import UTC, datetime


def instant(epoch_seconds: float) -> datetime:
    """A time of the operating system, limited to the years that datetime supports."""
    try:
        return datetime.fromtimestamp(epoch_seconds, tz=UTC)
    except (ValueError, OverflowError, OSError):
        end = datetime.max if epoch_seconds > 0 else datetime.min
        return end.replace(tzinfo=UTC)
