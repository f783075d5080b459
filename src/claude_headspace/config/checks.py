"""The valid values of each setting, and messages about invalid ones."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from claude_headspace.address import address_fault, mask_password, shown_address

Check = Callable[[Any], "str | None"]


class ListOf(NamedTuple):
    """A list of text, each item checked; `least` items of them."""

    item: Check
    least: int = 0


class Setting(NamedTuple):
    """A default, as YAML would give it, and a check; a setting with default None may be None."""

    default: Any
    check: Check | ListOf


def faults(name: str, setting: Setting, value: object) -> Iterator[str]:
    """What is wrong with the value of this setting, each as a line with what was given."""
    if value is None and setting.default is None:
        return
    if not isinstance(setting.check, ListOf):
        yield from _fault(name, setting.check, value)
    elif value is None or not isinstance(value, list):
        problem = "must not be empty" if value is None else "must be a list of text"
        yield f"{name}: {problem} (got {shown(value)})"
    elif len(value) < setting.check.least:
        yield f"{name}: must not be empty (got [])"
    else:
        for index, item in enumerate(value):
            yield from _fault(f"{name}[{index}]", setting.check.item, item)


def _fault(name: str, check: Check, value: object) -> Iterator[str]:
    problem = "must not be empty" if value is None else check(value)
    if problem:
        given = shown_address(value) if name.endswith("url") else shown(value)
        yield f"{name}: {problem} (got {given})"


def _number(kinds: tuple[type, ...], what: str, low: float, high: float) -> Check:
    def check(value: Any) -> str | None:
        if type(value) not in kinds:
            return f"must be {what}"
        return None if low <= value <= high else f"must be between {low} and {high}"

    return check


def whole(low: int, high: int) -> Check:
    """A whole number of this range."""
    return _number((int,), "a whole number", low, high)


def number(low: float, high: float) -> Check:
    """A number of this range."""
    return _number((int, float), "a number", low, high)


def seconds(low: float, high: float) -> Check:
    """A number of seconds of this range."""
    return _number((int, float), "a number of seconds", low, high)


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


def shown(value: object) -> str:
    """A value for a message, without passwords."""
    return str(mask_password(repr(value)))
