"""Reading JSON whose end was cut off."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_HALF_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?$")
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?P<end>"?)|[{}\[\]]', re.DOTALL)
_TRIES = 40


def read_cut(text: str) -> Mapping[str, Any]:
    """The object that begins here; the value that was cut ends with an ellipsis."""
    found = _load(text)
    if found is None:
        text, closers = _closed(text)
        found = _load(text + closers)
        for _ in range(_TRIES):
            if found is not None or "," not in text:
                break
            text = text.rpartition(",")[0]
            found = _load(text + _closed(text)[1])
    return found if isinstance(found, dict) else {}


def _load(text: str) -> Any:
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None


def _closed(text: str) -> tuple[str, str]:
    """The text without an incomplete escape at its end, and the characters that close it."""
    open_brackets, in_string = list[str](), False
    for token in _TOKEN.finditer(text):
        mark = text[token.start()]
        if mark == '"':  # only the last string can be open
            in_string = not token["end"]
        elif mark in "{[":
            open_brackets.append("}" if mark == "{" else "]")
        elif open_brackets:
            open_brackets.pop()
    if in_string:
        even = len(text) - len(text.rstrip("\\"))
        text = text if even and even % 2 == 0 else _HALF_ESCAPE.sub("", text)
    return text, ('…"' if in_string else "") + "".join(reversed(open_brackets))
