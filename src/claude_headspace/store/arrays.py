"""Array literals for Postgres, cheaper than the driver's, which quotes each item."""

from __future__ import annotations

from collections.abc import Sequence

# From this many characters on, memory matters more than time.
LONG_TEXTS = 1024 * 1024


def array(items: Sequence[object]) -> str:
    """An array of items that need no quoting."""
    return "{" + ",".join(["NULL" if item is None else str(item) for item in items]) + "}"


def text_array(items: Sequence[str | None]) -> str | list[str | None]:
    """An array of texts. For long ones the driver's own makes three copies fewer."""
    if sum(len(item) for item in items if item is not None) > LONG_TEXTS:
        return list(items)
    return "{" + ",".join(["NULL" if item is None else _quoted(item) for item in items]) + "}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
