"""Payload schemas of the event types, and a fast check derived from them.

A payload is JSON; nothing is converted, so a number must be a number and a string a string. Unknown
fields are errors.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from marshmallow import RAISE, Schema, ValidationError, fields, validate

from claude_headspace.errors import EventInvalid

_ISO_8601 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)


class Text(fields.String):
    """A JSON string."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        if type(value) is not str:
            raise ValidationError(f"must be a string, is {type(value).__name__}")
        return value


class WholeNumber(fields.Integer):
    """A JSON number without a fraction that fits Postgres' bigint."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> int:
        if type(value) is not int:
            raise ValidationError(f"must be a whole number, is {type(value).__name__}")
        if not -(2**63) <= value < 2**63:
            raise ValidationError("is out of the range of a 64-bit number")
        return value


class Instant(Text):
    """A string that is an ISO 8601 date and time with a zone."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        text = super()._deserialize(value)
        parse_instant(text)
        return text


@lru_cache(maxsize=256)
def parse_instant(text: str) -> datetime:
    """The moment of an ISO 8601 string with a zone; else ValidationError.

    It can also be expressed in UTC, in which readers get it from Postgres.
    """
    if not _ISO_8601.fullmatch(text):
        raise ValidationError(f"must be an ISO 8601 time with a zone, is {text[:40]!r}")
    try:
        moment = datetime.fromisoformat(text)
        moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValidationError(f"must be an ISO 8601 time with a zone: {error}") from error
    return moment


class PayloadSchema(Schema):
    """The base of all payload schemas."""

    class Meta:
        """Unknown fields are errors."""

        unknown = RAISE


class SessionRegistered(PayloadSchema):
    """A session and its project have become known."""

    session_uuid = Text(required=True)
    project_path = Text(required=True)
    working_directory = Text(required=True)
    iterm_pane_id = Text()


class SessionEnded(PayloadSchema):
    """A session has ended; it may continue later."""

    session_uuid = Text(required=True)
    reason = Text(required=True, validate=validate.OneOf(("timeout", "unregistered", "closed")))
    duration_seconds = WholeNumber()


class TurnDetected(PayloadSchema):
    """A turn: something that the user typed, or a text of the agent."""

    session_uuid = Text(required=True)
    actor = Text(required=True, validate=validate.OneOf(("user", "agent")))
    text = Text(required=True)
    source = Text(required=True, validate=validate.OneOf(("polling", "hook")))
    turn_timestamp = Instant(required=True)
    line_uuid = Text()
    message_id = Text()
    subagent_id = Text()
    parent_uuid = Text()
    prompt_source = Text()
    entrypoint = Text()


class StateTransition(PayloadSchema):
    """An agent's command has changed its state."""

    agent_id = WholeNumber(required=True)
    command_id = WholeNumber(required=True)
    from_state = Text(required=True)
    to_state = Text(required=True)
    trigger = Text(required=True, validate=validate.OneOf(("turn", "timeout", "manual")))


class HookReceived(PayloadSchema):
    """Claude Code called one of its hooks."""

    hook_type = Text(required=True)
    claude_session_id = Text(required=True)
    working_directory = Text(required=True)
    reason = Text()
    source = Text()
    tool_name = Text()
    prompt_id = Text()
    agent_id = Text()
    notification_type = Text()
    message = Text()


class NoteAdded(PayloadSchema):
    """A note that a person or a program has added to the log."""

    text = Text(required=True)
    tags = fields.List(Text())
    source = Text()


Check = Callable[[Any], bool]
_PLAIN = (Text, WholeNumber, Instant)


def quick_check(schema: Schema) -> Check:
    """A check that accepts only what `schema` accepts, and is many times faster.

    It may refuse what the schema accepts (for example an unknown kind of field): then use the
    schema, which also says what is wrong.
    """
    if any(schema._hooks.values()) or schema.unknown != RAISE:
        return lambda _: False
    plain: dict[str, tuple[Callable[..., object], ...]] = {
        name: (field._deserialize, *field.validators)
        for name, field in schema.fields.items()
        if type(field) in _PLAIN and field.data_key is None and not field.dump_only
    }
    required = frozenset(name for name, field in schema.fields.items() if field.required)

    def check(payload: Any) -> bool:
        try:
            for name, value in payload.items():
                for accept in plain[name]:
                    accept(value)
        except (AttributeError, KeyError, TypeError, ValidationError):
            return False
        return all(name in payload for name in required)

    return check


def check_payload(schema: Schema, payload: Any) -> None:
    """Raise EventInvalid, which names the first wrong field, unless the schema accepts it."""
    if not isinstance(payload, dict):
        raise EventInvalid("payload", f"must be a JSON object, is {type(payload).__name__}")
    try:
        errors = schema.validate(payload)
    except (TypeError, AttributeError) as error:  # field names that are not strings
        raise EventInvalid("payload", f"cannot be checked: {error}") from error
    for name, problems in errors.items():
        told = problems[0] if isinstance(problems, list) else problems
        raise EventInvalid(f"payload.{name}", str(told))
