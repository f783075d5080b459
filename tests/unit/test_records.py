from __future__ import annotations

from typing import Any

import pytest

import lines
from claude_headspace.transcripts import rescue
from claude_headspace.transcripts.lenient import Broken, FoundRecord
from claude_headspace.transcripts.parsed import Rejected, Turn
from claude_headspace.transcripts.records import quick_record
from claude_headspace.transcripts.rescue import take_apart
from claude_headspace.transcripts.transcript import Transcript
from code_turns import parse

SESSION = "11111111-2222-4333-8444-555555555555"
FIRST = lines.raw(lines.user(SESSION, "first ä"))
SECOND = lines.raw(lines.assistant(SESSION, "second"))


def texts(line: bytes) -> list[str]:
    return [o.text for o in parse(line, 0) if isinstance(o, Turn)]


def test_an_undamaged_line_needs_no_patience() -> None:
    assert quick_record(FIRST) is not None
    (found,) = take_apart(FIRST)
    assert isinstance(found, FoundRecord)
    assert not found.rescued


def test_two_records_on_one_line_both_come_out_where_they_stand() -> None:
    found = list(parse(FIRST + SECOND, 100))
    assert [(o.text, o.offset, o.rescued) for o in found if isinstance(o, Turn)] == [
        ("first ä", 100, True),
        ("second", 100 + len(FIRST), True),
    ]


def test_a_record_behind_one_cut_anywhere_comes_out() -> None:
    for cut in range(1, len(FIRST)):
        parts = list(parse(FIRST[:cut] + SECOND, 0))
        turns = [o for o in parts if isinstance(o, Turn)]
        assert [(t.text, t.offset) for t in turns] == [("second", cut)], cut
        assert any(isinstance(o, Rejected) for o in parts), cut


def test_a_record_before_a_cut_off_one_comes_out() -> None:
    for cut in range(1, len(SECOND)):
        assert texts(FIRST + SECOND[:cut]) == ["first ä"]


@pytest.mark.parametrize("at", [0, len(FIRST)])
def test_runs_of_nul_bytes_cost_nothing_but_themselves(at: int) -> None:
    line = FIRST[:at] + b"\0" * 5000 + FIRST[at:]
    assert texts(line) == ["first ä"]
    assert texts(line + SECOND) == ["first ä", "second"]


def test_in_other_lines_with_words_it_is_replaced_too() -> None:
    queued = lines.queue(SESSION, "enqueue", content="first ä")
    command = lines.local_command(SESSION, "<command-name>/first ä</command-name>")
    transcript = Transcript()
    for record in (queued, lines.queue(SESSION, "remove"), command):
        line = lines.raw(record).replace("ä".encode(), b"\x80")
        said = [o.text for o in transcript.parse(line, 0) if isinstance(o, Turn)]
    assert said == ["first \udc80", "/first \udc80"]


def test_invalid_utf8_is_replaced() -> None:
    line = FIRST.replace("ä".encode(), b"\xc3")
    (turn,) = (o for o in parse(line, 0) if isinstance(o, Turn))
    assert "first " in turn.text
    from claude_headspace.events.event import encode

    payload, event = encode(turn.event(1, 1, 1))
    assert "first \ufffd".encode() in payload
    assert event.annotations["replaced_characters"] == 1


@pytest.mark.parametrize("escape", [b"\\u0000", b"\\ud83d", b"\\udc00"])
def test_escapes_that_postgres_refuses_are_replaced_and_marked(escape: bytes) -> None:
    from claude_headspace.events.event import encode

    line = FIRST.replace("ä".encode(), escape)
    (turn,) = (o for o in parse(line, 0) if isinstance(o, Turn))
    payload, event = encode(turn.event(1, 1, 1))
    assert "first \ufffd".encode() in payload
    assert event.annotations == {"replaced_characters": 1}


def test_a_pair_of_surrogates_is_one_character() -> None:
    assert texts(FIRST.replace("ä".encode(), b"\\ud83d\\ude00")) == ["first \U0001f600"]


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"9" * 5000])
def test_numbers_that_are_none_do_not_cost_the_turn(number: bytes) -> None:
    line = FIRST[:-1] + b',"n":' + number + b"}"
    assert texts(line) == ["first ä"]


@pytest.mark.parametrize("control", [b"\t", b"\x01", b"\x85", "\u2028".encode(), b"\r"])
def test_raw_control_characters_in_text(control: bytes) -> None:
    assert len(texts(FIRST.replace("ä".encode(), b"x" + control + b"y"))) == 1


@pytest.mark.parametrize("line", [FIRST + b"\r", b"\xef\xbb\xbf" + FIRST, b" " + FIRST + b" "])
def test_what_may_stand_around_a_record(line: bytes) -> None:
    assert texts(line) == ["first ä"]


@pytest.mark.parametrize("line", [b"[1]", b"null", b'"x"', b"12", b"true"])
def test_json_that_is_no_object_is_broken(line: bytes) -> None:
    (part,) = take_apart(line)
    assert isinstance(part, Broken)
    assert part.offset == 0


def test_offsets_count_bytes_even_of_undecodable_ones() -> None:
    line = "ä€\U0001f600".encode() + b"\xff\xfe" + FIRST
    found = [part for part in take_apart(line) if isinstance(part, FoundRecord)]
    assert [line[part.offset :][:1] for part in found] == [b"{"]
    assert found[0].offset == len(line) - len(FIRST)


def test_a_record_of_the_wrong_types_is_looked_at_patiently() -> None:
    line = b'{"type":7,"uuid":[],"message":"x","isMeta":"yes"}'
    (part,) = take_apart(line)
    assert isinstance(part, FoundRecord)
    assert (part.record.type, part.record.uuid, part.record.isMeta) == (None, None, True)


def nested(levels: int) -> bytes:
    return b'[{"a":' * (levels // 2) + b"1" + b"}]" * (levels // 2)


@pytest.mark.parametrize("levels", [1000, 100_000])
def test_a_field_that_is_nested_deep_costs_nothing_but_itself(levels: int) -> None:
    deep = FIRST[:-1] + b',"toolUseResult":' + nested(levels) + b"}"
    assert texts(deep) == ["first ä"]
    assert texts(b'{"toolUseResult":' + nested(levels) + b"," + FIRST[1:]) == ["first ä"]
    assert texts(FIRST[:40] + deep + SECOND) == ["first ä", "second"]


def decoded_characters(line: bytes, monkeypatch: pytest.MonkeyPatch) -> int:
    """How much of a line is decoded, whole or in vain, until all of it is taken apart."""
    tried = 0
    plainly = rescue._decode_plainly

    def counting(text: str, at: int) -> Any:
        nonlocal tried
        found = plainly(text, at)
        tried += found[1] - at
        return found

    with monkeypatch.context() as patch:
        patch.setattr(rescue, "_decode_plainly", counting)
        list(take_apart(line))
    return tried


@pytest.mark.parametrize("part", [
    b'{"', b'{"uuid":"', FIRST[:100], FIRST[:-1], b'{"type":"user","sessionId":"x","a":{',
    b'{"uuid":1,"a":[', b'{"a":"' + FIRST[:60],
], ids=range(7))  # fmt: skip
def test_the_search_behind_broken_records_grows_with_the_line(
    part: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = part * (100_000 // len(part))
    once = decoded_characters(line + SECOND, monkeypatch)
    twice = decoded_characters(line * 2 + SECOND, monkeypatch)
    assert twice <= 2.5 * once
