"""Values that pages and API are made of: parts of time, lines of calls, titles."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from claude_headspace.read.buckets import buckets_between
from claude_headspace.read.call_line import call_line, read_cut
from claude_headspace.read.titles import short_title

NOON = datetime(2026, 2, 7, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize("hours", [0.01, 1, 3, 24, 24 * 41, 24 * 365, 24 * 3650])
def test_parts_cover_the_stretch_and_touch(hours: float) -> None:
    start = NOON - timedelta(hours=hours)
    found = buckets_between(start, NOON)
    assert found.start <= max(start, datetime(2024, 1, 1, tzinfo=UTC))
    assert found.end >= NOON
    assert len(found.edges) <= 130
    assert all(a < b for a, b in zip(found.edges, found.edges[1:], strict=False))


@pytest.mark.parametrize("moment", [datetime.min, datetime.max])
def test_no_moment_is_too_far(moment: datetime) -> None:
    aware = moment.replace(tzinfo=UTC)
    assert buckets_between(aware, aware).edges


def test_counts_fall_into_their_parts() -> None:
    found = buckets_between(NOON - timedelta(hours=1), NOON)
    assert found.spread([(1, 5), (len(found.edges) - 1, 2), (0, 9), (999, 9)])[0] == 5


def test_json_that_was_cut_is_read_as_far_as_it_goes() -> None:
    whole = '{"questions": [{"question": "W\\u00e4r?", "options": [{"label": "A"}]}], "n": 1}'
    for length in range(1, len(whole) + 1):
        assert isinstance(read_cut(whole[:length]), dict)
    assert read_cut(whole)["n"] == 1
    assert read_cut(whole[:40])["questions"][0]["question"] == "Wär?"


@pytest.mark.parametrize(
    ("tool", "given", "line"),
    [
        ("Bash", {"command": "ls  -l\n x"}, ("Bash", "ls -l x", "")),
        ("Read", {"file_path": "/w/a.py", "offset": 3, "limit": 2},
         ("Read", "a.py", "from line 3, 2 lines")),
        ("Grep", {"pattern": "x", "path": "/w/src"}, ("Grep", "x", "in src")),
        ("Edit", {"file_path": "/w/a", "old_string": "1\n2", "new_string": "1\n3\n4"},
         ("Edit", "a", "+2 −1")),
        ("Task", {"description": "d", "subagent_type": "Explore"}, ("Task", "d", "· Explore")),
        ("mcp__linear__create_issue", {"title": "t"}, ("linear", "create_issue", "t")),
        ("TodoWrite", {"todos": [{"status": "completed"}, {"status": "x"}]},
         ("TodoWrite", "1 of 2 done", "")),
        ("Unknown", {"a": 1, "b": "words"}, ("Unknown", "words", "")),
        ("Bash", {"command": 7}, ("Bash", "", "")),
    ],
)  # fmt: skip
def test_a_call_is_told_in_one_line(
    tool: str, given: dict[str, object], line: tuple[str, str, str]
) -> None:
    told = call_line(tool, given, "/w")
    assert (told.name, told.text, told.aside) == line


@pytest.mark.parametrize(
    ("words", "title"),
    [
        ("why?", "why?"),
        ("Implement the following plan:\n\n# The plan\nmore", "The plan"),
        ("\n\n## Head\n", "Head"),
        ("", ""),
    ],
)
def test_a_session_is_named_by_the_head_of_what_was_asked(words: str, title: str) -> None:
    assert short_title(words) == title
    assert len(short_title("word " * 100)) < 125
