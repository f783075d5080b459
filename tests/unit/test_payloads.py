from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from marshmallow import Schema, ValidationError, fields, validate

from claude_headspace.errors import EventInvalid
from claude_headspace.events import payloads
from claude_headspace.events.payloads import check_payload, parse_instant, quick_check

NOW = "2025-06-01T12:00:00.123Z"
# type, required with good values, optional with good values, choices
TYPES: dict[type[Schema], tuple[dict[str, Any], dict[str, Any], dict[str, list[str]]]] = {
    payloads.SessionRegistered: (
        {"session_uuid": "s", "project_path": "/p", "working_directory": "/w"},
        {"iterm_pane_id": "w0t0p0"},
        {},
    ),
    payloads.SessionEnded: (
        {"session_uuid": "s", "reason": "timeout"},
        {"duration_seconds": 7},
        {"reason": ["timeout", "unregistered", "closed"]},
    ),
    payloads.TurnDetected: (
        {"session_uuid": "s", "actor": "user", "text": "", "source": "polling",
         "turn_timestamp": NOW},
        {"line_uuid": "u", "message_id": "m", "subagent_id": "a", "parent_uuid": "p",
         "prompt_source": "typed", "entrypoint": "cli"},
        {"actor": ["user", "agent"], "source": ["polling", "hook"]},
    ),
    payloads.StateTransition: (
        {"agent_id": 1, "command_id": 2, "from_state": "a", "to_state": "b", "trigger": "turn"},
        {},
        {"trigger": ["turn", "timeout", "manual"]},
    ),
    payloads.HookReceived: (
        {"hook_type": "Stop", "claude_session_id": "s", "working_directory": "/w"},
        {
            "reason": "r",
            "source": "s",
            "tool_name": "t",
            "prompt_id": "p",
            "agent_id": "a",
            "notification_type": "n",
            "message": "m",
        },
        {},
    ),
}  # fmt: skip
SCHEMAS = pytest.mark.parametrize("schema", TYPES, ids=lambda schema: schema.__name__)


def refused(schema: type[Schema], payload: Any) -> str:
    """The field that is told to be at fault; the quick check must not have accepted."""
    assert not (isinstance(payload, dict) and quick_check(schema())(payload))
    with pytest.raises(EventInvalid) as caught:
        check_payload(schema(), payload)
    return caught.value.field


def accepted(schema: type[Schema], payload: dict[str, Any]) -> bool:
    check_payload(schema(), payload)
    return quick_check(schema())(payload)


@SCHEMAS
def test_the_least_and_the_most_a_payload_may_hold(schema: type[Schema]) -> None:
    required, optional, _ = TYPES[schema]
    assert accepted(schema, required)
    assert accepted(schema, {**required, **optional})
    assert set(schema().fields) == {*required, *optional}


@SCHEMAS
def test_each_required_field_is_missed_by_name(schema: type[Schema]) -> None:
    required, _, _ = TYPES[schema]
    for name in required:
        rest = {key: value for key, value in required.items() if key != name}
        assert refused(schema, rest) == f"payload.{name}"


@SCHEMAS
@pytest.mark.parametrize("wrong", [None, True, 1.5, 7, "seven", [], {}, b"x"])
def test_nothing_is_converted(schema: type[Schema], wrong: Any) -> None:
    required, optional, choices = TYPES[schema]
    for name, good in {**required, **optional}.items():
        if type(wrong) is not type(good) or name in choices or good == NOW:
            assert refused(schema, {**required, name: wrong}) == f"payload.{name}"


@SCHEMAS
def test_choices_are_closed(schema: type[Schema]) -> None:
    required, _, choices = TYPES[schema]
    for name, values in choices.items():
        assert all(accepted(schema, {**required, name: value}) for value in values)
        assert refused(schema, {**required, name: values[0].upper()}) == f"payload.{name}"


@SCHEMAS
@pytest.mark.parametrize("name", ["surprise", "", "id", "Session_uuid"])
def test_nothing_unknown(schema: type[Schema], name: str) -> None:
    assert refused(schema, {**TYPES[schema][0], name: "x"}) == f"payload.{name}"


@SCHEMAS
@pytest.mark.parametrize("payload", [None, [], "x", 1, [("session_uuid", "s")]])
def test_a_payload_is_an_object(schema: type[Schema], payload: Any) -> None:
    assert refused(schema, payload) == "payload"


def test_field_names_are_strings() -> None:
    with pytest.raises(EventInvalid):
        check_payload(payloads.SessionEnded(), {"session_uuid": "s", "reason": "closed", 7: "x"})


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1])
def test_numbers_fit_the_database(number: int) -> None:
    payload = {"session_uuid": "s", "reason": "timeout", "duration_seconds": number}
    assert refused(payloads.SessionEnded, payload) == "payload.duration_seconds"


class Name(str):
    """A string that is not quite one."""

    __slots__ = ()


VALUES = st.one_of(
    st.sampled_from(
        [NOW, "user", "agent", "polling", "hook", "timeout", "turn", "closed", "manual", Name("x"),
         Name(NOW), Name("user"), "2025-06-01T12:00:00+23:59", "0001-01-01T00:00:00+01:00", True]
    ),
    st.text(), st.integers(), st.none(), st.floats(), st.booleans(), st.lists(st.text()),
)  # fmt: skip


def test_what_only_looks_like_a_string_is_none() -> None:
    required = TYPES[payloads.TurnDetected][0]
    for name, value in required.items():
        assert refused(payloads.TurnDetected, {**required, name: Name(value)}) == f"payload.{name}"


@SCHEMAS
@settings(deadline=None, max_examples=400)
@given(st.data())
def test_what_the_quick_check_accepts_the_schema_accepts(
    schema: type[Schema], data: st.DataObject
) -> None:
    required, optional, _ = TYPES[schema]
    payload = {**required, **optional}
    for name in data.draw(st.lists(st.sampled_from([*payload, "unknown"]), max_size=3)):
        if data.draw(st.booleans()):
            payload.pop(name, None)
        else:
            payload[name] = data.draw(VALUES)
    if quick_check(schema())(payload):
        assert schema().validate(payload) == {}


class Odd(payloads.PayloadSchema):
    """Fields that the quick check does not know."""

    size = payloads.Text(validate=validate.Length(max=3))
    both = payloads.Text(validate=[validate.OneOf("ab"), validate.OneOf("bc")])
    real = fields.Float()
    named = payloads.Text(data_key="other")


@pytest.mark.parametrize(("payload", "valid"), [
    ({"size": "abc"}, True), ({"size": "abcd"}, False), ({"both": "b"}, True),
    ({"both": "a"}, False), ({"real": 1.5}, True), ({"other": "x"}, True), ({"named": "x"}, False),
])  # fmt: skip
def test_fields_of_other_kinds_are_left_to_the_schema(payload: Any, valid: bool) -> None:
    assert (Odd().validate(payload) == {}) is valid
    assert valid or not quick_check(Odd())(payload)


@pytest.mark.parametrize(("text", "iso"), [
    ("2025-06-01T12:00:00Z", "2025-06-01T12:00:00+00:00"),
    ("2025-06-01T12:00:00.1Z", "2025-06-01T12:00:00.100000+00:00"),
    ("2025-06-01T12:00:00.123456789Z", "2025-06-01T12:00:00.123456+00:00"),
    ("2025-06-01T12:00:00.5+05:30", "2025-06-01T12:00:00.500000+05:30"),
    ("2025-06-01T12:00:00-23:59", "2025-06-01T12:00:00-23:59"),
])  # fmt: skip
def test_instants(text: str, iso: str) -> None:
    assert parse_instant(text).isoformat() == iso


@pytest.mark.parametrize("text", [
    "", "now", "2025-06-01", "2025-06-01T12:00:00", "2025-06-01 12:00:00Z", "2025-02-30T12:00:00Z",
    "2025-06-01T24:00:01Z", "2025-06-01T12:00:00+24:00", "2025-06-01T12:00:00Z\n",
    "0000-01-01T00:00:00Z", "٢٠٢٥-06-01T12:00:00Z", "2025-06-01T12:00:00.Z",
    "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01",
])  # fmt: skip
def test_no_instants(text: str) -> None:
    with pytest.raises(ValidationError):
        parse_instant(text)
