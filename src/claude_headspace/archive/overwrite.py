"""Overwriting secrets in archived bytes; lengths stay the same, so offsets remain valid."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from claude_headspace.events.redaction import Redactor

# A longer line is not searched but overwritten completely.
LONGEST_BYTES = 4 * 1024 * 1024
_FILLER = "*"


def overwritten(redactor: Redactor, data: bytes) -> tuple[bytes, bool]:
    """Lines of the same length with secrets overwritten, and whether there were any."""
    after = b"\n".join(_parts(redactor, data.split(b"\n")))
    return after, after != data


def _parts(redactor: Redactor, lines: list[bytes]) -> Iterator[bytes]:
    """Records one by one; other lines together, because a secret may have several of them."""
    text: list[bytes] = []
    for line in lines:
        is_long = len(line) >= LONGEST_BYTES
        value = None if is_long else _decoded(line)
        if value is None and not is_long:
            text.append(line)
            continue
        if text:
            yield _text(redactor, b"\n".join(text))
            text = []
        yield _FILLER.encode() * len(line) if is_long else _record(redactor, line, value)
    if text:
        yield _text(redactor, b"\n".join(text))


def _decoded(line: bytes) -> Any:
    """The object or list on a line; None for anything else."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, (dict, list)) else None


def _record(redactor: Redactor, line: bytes, value: Any) -> bytes:
    """First each string, where secrets are not escaped; then everything, names included."""
    after = _value(redactor, value)
    if after is not value:
        text = json.dumps(after, ensure_ascii=False, separators=(",", ":"))
        encoded = text.encode("utf-8", "surrogatepass")
        # Padded with blanks; a blank record if it has become longer.
        line = (encoded if len(encoded) <= len(line) else b"{}").ljust(len(line))
    bare = _text(redactor, line)
    return line if bare == line or _decoded(bare) is None else bare


def _text(redactor: Redactor, text: bytes) -> bytes:
    return redactor.redact(text.decode("latin-1"), _FILLER)[0].encode("latin-1")


def _value(redactor: Redactor, value: Any) -> Any:
    """The value without secrets; the same object if it has none."""
    if isinstance(value, str):
        after = redactor.redact(value, _FILLER)[0]
        return value if after == value else after
    if isinstance(value, list):
        items = [_value(redactor, item) for item in value]
        return items if any(a is not b for a, b in zip(items, value, strict=True)) else value
    if isinstance(value, dict):
        fields = {name: _value(redactor, item) for name, item in value.items()}
        return fields if any(fields[name] is not value[name] for name in value) else value
    return value
