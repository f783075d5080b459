"""Overwriting secrets in archived bytes; lengths stay the same, so offsets remain valid."""

from __future__ import annotations

import json
from typing import Any

from claude_headspace.events.redaction import Redactor

# A longer line is not searched but overwritten completely.
LONGEST_BYTES = 4 * 1024 * 1024
_FILLER = "*"


def overwritten(redactor: Redactor, data: bytes) -> tuple[bytes, bool]:
    """Lines of the same length with secrets overwritten, and whether there were any."""
    lines = [_line(redactor, line) for line in data.split(b"\n")]
    after = b"\n".join(lines)
    return after, after != data


def _line(redactor: Redactor, line: bytes) -> bytes:
    if len(line) >= LONGEST_BYTES:
        return _FILLER.encode() * len(line)
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return _text(redactor, line.decode("latin-1")).encode("latin-1")
    after = _value(redactor, value)
    if after is value:
        return line
    text = json.dumps(after, ensure_ascii=False, separators=(",", ":"))
    encoded = text.encode("utf-8", "surrogatepass")
    # Padded with blanks; a blank record if it has become longer.
    return (encoded if len(encoded) <= len(line) else b"{}").ljust(len(line))


def _value(redactor: Redactor, value: Any) -> Any:
    """The value without secrets; the same object if it has none."""
    if isinstance(value, str):
        return _text(redactor, value)
    if isinstance(value, list):
        items = [_value(redactor, item) for item in value]
        return items if any(a is not b for a, b in zip(items, value, strict=True)) else value
    if isinstance(value, dict):
        fields = {name: _value(redactor, item) for name, item in value.items()}
        return fields if any(fields[name] is not value[name] for name in value) else value
    return value


def _text(redactor: Redactor, text: str) -> str:
    after = redactor.redact(text, _FILLER)[0]
    return text if after == text else after
