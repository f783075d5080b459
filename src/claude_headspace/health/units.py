"""Figures for people."""

from __future__ import annotations

from datetime import datetime


def iso_time(epoch_seconds: float | None) -> str | None:
    """ISO 8601 in this machine's time zone."""
    if epoch_seconds is None:
        return None
    return datetime.fromtimestamp(epoch_seconds).astimezone().isoformat(timespec="milliseconds")


def format_bytes(count: float) -> str:
    """`1.5 MB`, in powers of ten."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.0f} bytes" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def counted(number: int, noun: str) -> str:
    """`1 file`, `2 files`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
