"""The valid values of each setting, and messages about invalid ones."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from claude_headspace.address import address_fault, mask_password, shown_address
from claude_headspace.config.defaults import Tree
from claude_headspace.config.settings import Price

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")

Messages = dict[str, str | list[Any] | dict[Any, Any]]

_TEXT_MESSAGES: Messages = {"invalid": "must be text", "null": "must not be empty"}
_LIST_MESSAGES: Messages = {"invalid": "must be a list of text", "null": "must not be empty"}


def _setting(check: Callable[[Any], None]) -> fields.Raw:
    return fields.Raw(required=True, validate=check, error_messages=_TEXT_MESSAGES)


def _text(**options: Any) -> fields.String:
    return fields.String(error_messages=_TEXT_MESSAGES, **options)


def _texts(item: fields.String, **options: Any) -> fields.List[str]:
    return fields.List(item, required=True, error_messages=_LIST_MESSAGES, **options)


def _number(kinds: tuple[type, ...], what: str, low: float, high: float) -> fields.Raw:
    def check(value: object) -> None:
        if isinstance(value, bool) or not isinstance(value, kinds):
            raise ValidationError(f"must be {what}")
        if not low <= value <= high:  # type: ignore[operator]
            raise ValidationError(f"must be between {low} and {high}")

    return _setting(check)


def _whole(low: int, high: int) -> fields.Raw:
    return _number((int,), "a whole number", low, high)


def _whole_or_none(low: int, high: int) -> fields.Raw:
    number = _whole(low, high)
    number.allow_none = True
    return number


def _seconds(low: float, high: float) -> fields.Raw:
    return _number((int, float), "a number of seconds", low, high)


def _check_switch(value: object) -> None:
    if not isinstance(value, bool):
        raise ValidationError("must be true or false")


def _check_paths(value: object) -> None:
    paths = value if isinstance(value, list) else [value]
    if not paths or not all(isinstance(path, str) and path for path in paths):
        raise ValidationError("must be a path or a list of paths")


def _check_url(value: str) -> None:
    if fault := address_fault(value):
        raise ValidationError(fault)


def _check_loopback(value: str) -> None:
    if value == "localhost":
        return
    try:
        loopback = ipaddress.ip_address(value).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise ValidationError("must be a loopback address such as 127.0.0.1")


def _check_pattern(value: str) -> None:
    try:
        re.compile(value)
    except re.error as error:
        raise ValidationError(f"must be a regular expression: {error}") from error


def _one_of(*choices: str) -> validate.OneOf:
    return validate.OneOf(choices, error="must be one of {choices}")


_NOT_EMPTY = validate.Length(min=1, error="must not be empty")

_SECTIONS: dict[str, dict[str, fields.Field[Any]]] = {
    "database": {"url": _text(required=True, allow_none=True, validate=_check_url)},
    "state": {
        "directory": _text(required=True, validate=_NOT_EMPTY),
        "host": _text(required=True, allow_none=True, validate=_NOT_EMPTY),
    },
    "forward": {
        "url": _text(required=True, allow_none=True, validate=_check_url),
        "bytes_per_second": _whole_or_none(1000, 10**12),
    },
    "event_system": {
        "write_retry_attempts": _whole(0, 100),
        "write_retry_delay_ms": _whole(1, 60_000),
        "max_restarts_per_minute": _whole(1, 60),
        "shutdown_timeout_seconds": _seconds(0.1, 600),
    },
    "supervision": {"retry_seconds": _seconds(0, 30 * 86400)},
    "claude": {"projects_path": _setting(_check_paths)},
    "file_watcher": {
        "rescan_interval_seconds": _seconds(0.05, 3600),
        "inactivity_timeout_seconds": _seconds(0.1, 10 * 366 * 86400),
        "sessions": _text(required=True, validate=_one_of("all", "registered")),
        "max_line_bytes": _whole(1024, 1024**3),
        "final_line_wait_seconds": _seconds(0, 3600),
        "notifications": _setting(_check_switch),
    },
    "archive": {"enabled": _setting(_check_switch)},
    "inbox": {
        "keep_seconds": _seconds(0, 7 * 86400),
        "keep_bytes": _whole(0, 1024**4),
    },
    "web": {
        "host": _text(required=True, validate=_check_loopback),
        "port": _whole(1, 65535),
    },
    "alerts": {"command": _texts(_text(), allow_none=True, validate=_NOT_EMPTY)},
    "logging": {
        "level": _text(required=True, validate=_one_of(*LEVELS)),
        "summary_interval_seconds": _seconds(0.1, 86400),
    },
    "privacy": {
        "redact": _setting(_check_switch),
        "patterns": _texts(_text(validate=_check_pattern)),
    },
}
# The keys of one model's prices.
_PRICE = {name: _number((int, float), "a number", 0, 1e6) for name in Price.__slots__}


def check_settings(tree: Tree, problems: list[str]) -> Tree:
    """The valid sections; mistakes in the others are added to the problems."""
    valid: Tree = {}
    for section, values in tree.items():
        if section == "prices":
            valid[section] = _checked_prices(values, problems)
        else:
            valid[section] = _checked(section, _SECTIONS[section], values, problems)
    return valid


def _checked_prices(prices: Mapping[str, Any], problems: list[str]) -> dict[str, Any]:
    valid: dict[str, Any] = {}
    for model, values in prices.items():
        name = f"prices.{model}"
        if not isinstance(values, dict):
            problems.append(f"{name}: must contain keys (got {shown(values)})")
            continue
        if "cache_write" in values:
            values = {"cache_write_1h": values["cache_write"], **values}
        valid[str(model)] = _checked(name, _PRICE, values, problems)
    return valid


def _checked(
    section: str,
    known: Mapping[str, fields.Field[Any]],
    values: Mapping[str, Any],
    problems: list[str],
) -> dict[str, Any]:
    try:
        return dict(Schema.from_dict(dict(known))().load(values))
    except ValidationError as error:
        problems.extend(_explain(section, known, error.messages_dict, values))
        return {}


def _explain(
    section: str, known: Mapping[str, Any], faults: Mapping[str, Any], values: Mapping[str, Any]
) -> Iterator[str]:
    for key, fault in faults.items():
        if key not in known:
            yield f"{section}.{key}: unknown key{guess(key, known)}"
        elif isinstance(fault, dict):
            for index, messages in fault.items():
                yield f"{section}.{key}[{index}]: {_say(messages, values[key][index])}"
        elif key == "url":
            yield f"{section}.{key}: {', '.join(fault)} (got {shown_address(values.get(key))})"
        else:
            yield f"{section}.{key}: {_say(fault, values.get(key))}"


def _say(messages: Sequence[str], value: object) -> str:
    return f"{', '.join(messages)} (got {shown(value)})"


def shown(value: object) -> str:
    """A value for a message, without passwords."""
    return str(mask_password(repr(value)))


def guess(name: object, known: Mapping[str, Any]) -> str:
    """A suggestion of a similar known name, for the end of a message."""
    from difflib import get_close_matches

    near = get_close_matches(str(name), known, n=1)
    return f" (did you mean {near[0]}?)" if near else ""
