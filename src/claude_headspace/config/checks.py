"""The valid values of each setting, and messages about invalid ones."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from claude_headspace.address import address_fault, mask_password, shown_address

Check = Callable[[Any], "str | None"]


class Setting(NamedTuple):
    """A default, as YAML would give it, and a check; a setting with default None may be None.

    With `least_items` the value is a list of at least as many items, and the check is of each.
    """

    default: Any
    check: Check
    least_items: int | None = None


def faults(section: str, known: Mapping[str, Setting], values: object) -> Iterator[str]:
    """What is wrong with the values of a section, each as a line with what was given."""
    if not isinstance(values, dict):
        yield f"{section}: must contain keys (got {masked(values)})"
        return
    for key, setting in known.items():
        yield from _of_setting(f"{section}.{key}", setting, values.get(key))
    for key in values.keys() - known.keys():
        yield f"{section}.{key}: unknown key{guess(key, known)}"


def _of_setting(name: str, setting: Setting, value: object) -> Iterator[str]:
    if value is None and setting.default is None:
        return
    if value is None or setting.least_items is None:
        yield from _of_value(name, setting.check, value)
    elif not isinstance(value, list):
        yield f"{name}: must be a list of text (got {masked(value)})"
    elif len(value) < setting.least_items:
        yield f"{name}: must not be empty (got [])"
    else:
        for index, item in enumerate(value):
            yield from _of_value(f"{name}[{index}]", setting.check, item)


def _of_value(name: str, check: Check, value: object) -> Iterator[str]:
    if problem := "must not be empty" if value is None else check(value):
        given = shown_address(value) if name.endswith("url") else masked(value)
        yield f"{name}: {problem} (got {given})"


def guess(name: object, known: Mapping[str, Any]) -> str:
    """A suggestion of a similar known name, for the end of a message."""
    from difflib import get_close_matches

    near = get_close_matches(str(name), known, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def masked(value: object) -> str:
    """A value for a message, without passwords."""
    return str(mask_password(repr(value)))


def _number(kinds: tuple[type, ...], what: str, low: float, high: float) -> Check:
    def check(value: Any) -> str | None:
        if type(value) not in kinds:
            return f"must be {what}"
        return None if low <= value <= high else f"must be between {low} and {high}"

    return check


whole = partial(_number, (int,), "a whole number")
number = partial(_number, (int, float), "a number")
seconds = partial(_number, (int, float), "a number of seconds")


def text(value: object) -> str | None:
    """Any text."""
    return None if isinstance(value, str) else "must be text"


def _and(check: Callable[[str], str | None]) -> Check:
    return lambda value: text(value) or check(value)


def one_of(*choices: str) -> Check:
    """One of these words."""
    told = f"must be one of {', '.join(choices)}"
    return _and(lambda value: None if value in choices else told)


def switch(value: object) -> str | None:
    """True or false."""
    return None if isinstance(value, bool) else "must be true or false"


def paths(value: object) -> str | None:
    """A path, or several."""
    given = value if isinstance(value, list) else [value]
    good = given and all(isinstance(path, str) and path for path in given)
    return None if good else "must be a path or a list of paths"


def _loopback(value: str) -> str | None:
    try:
        good = value == "localhost" or ipaddress.ip_address(value).is_loopback
    except ValueError:
        good = False
    return None if good else "must be a loopback address such as 127.0.0.1"


def _pattern(value: str) -> str | None:
    try:
        re.compile(value)
    except re.error as error:
        return f"must be a regular expression: {error}"
    return None


some_text = _and(lambda value: None if value else "must not be empty")
address = _and(address_fault)
loopback = _and(_loopback)
pattern = _and(_pattern)
