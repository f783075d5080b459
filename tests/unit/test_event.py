from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_headspace.errors import EventInvalid
from claude_headspace.events.event import Event, derived_key, encode, storable

NOW = datetime(2025, 6, 1, tzinfo=UTC)
ANY_TEXT = st.text(st.characters(exclude_categories=()) | st.sampled_from("\0\ud800\udfff\\u"))


def event(payload: Any) -> Event:
    return Event("x", NOW, payload, uuid4())


@given(ANY_TEXT)
def test_storable_text_replaces_what_postgres_refuses_and_nothing_else(text: str) -> None:
    bad = [c == "\0" or 0xD800 <= ord(c) <= 0xDFFF for c in text]
    expected = "".join("\ufffd" if b else c for c, b in zip(text, bad, strict=True))
    assert storable(text) == (expected, sum(bad))


JSON = st.recursive(
    ANY_TEXT | st.integers(-(2**63), 2**63 - 1) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=8,
)


def expected(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)[0]
    if isinstance(value, dict):
        return {storable(k)[0]: expected(v) for k, v in value.items()}
    return [expected(v) for v in value] if isinstance(value, list) else value


@given(st.dictionaries(ANY_TEXT, JSON, max_size=4))
def test_a_payload_is_encoded_as_it_is_or_cleaned_and_marked(payload: dict[str, Any]) -> None:
    encoded, after = encode(event(payload))
    assert json.loads(encoded) == expected(payload)
    changed = expected(payload) != payload
    assert bool(after.annotations.get("replaced_characters")) is changed
    encoded.decode("utf-8")


def test_the_words_backslash_u0000_are_no_nul() -> None:
    encoded, after = encode(event({"text": "\\u0000"}))
    assert json.loads(encoded) == {"text": "\\u0000"}
    assert after.annotations == {}


def deep() -> Any:
    value: Any = "x"
    for _ in range(100_000):
        value = [value]
    return value


@pytest.mark.parametrize("payload", [
    {"x": object()}, {"x": {1j: 1}}, {"x": deep()}, {"x": [deep(), "\ud800"]},
], ids=range(4))  # fmt: skip
def test_what_is_no_json_is_invalid(payload: Any) -> None:
    with pytest.raises(EventInvalid):
        encode(event(payload))


def test_annotations_add_up() -> None:
    once = event({"a": "\0"}).annotated(rescued=True, replaced_characters=2)
    assert encode(once)[1].annotations == {"rescued": True, "replaced_characters": 3}


def test_derived_keys() -> None:
    assert derived_key("a", "b") == derived_key("a", "b")
    assert len({derived_key("a", "b"), derived_key("ab"), derived_key("b", "a")}) == 3
