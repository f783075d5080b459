"""What becomes of a source: the table of docs/sources.md, row by row."""

from __future__ import annotations

import pytest

from claude_headspace.capture.source_changes import Identity, Seen, SourceChange, change_of
from claude_headspace.store.checkpoints import StoredSource
from claude_headspace.store.precondition import Precondition, ReadRow
from claude_headspace.transcripts.checkpoint import Checkpoint, LineCounts
from claude_headspace.transcripts.source_file import Contents

OWN, OTHER = (1, 100), (1, 200)
HERE, ELSEWHERE = "/p/a.jsonl", "/p/b.jsonl"
KNOWN = Identity(HERE, OWN)


@pytest.mark.parametrize(("seen", "became"), [
    (Seen(HERE, OWN, "same"), SourceChange.APPENDED),
    (Seen(HERE, OWN, "shorter"), SourceChange.TRUNCATED),
    (Seen(HERE, OWN, "other"), SourceChange.REWRITTEN),
    (Seen(HERE, OTHER, "same"), SourceChange.RETURNED),
    (Seen(HERE, OTHER, "shorter"), SourceChange.REPLACED),
    (Seen(HERE, OTHER, "other"), SourceChange.REPLACED),
    (Seen(ELSEWHERE, OWN, "same"), SourceChange.RENAMED),
    (Seen(ELSEWHERE, OWN, "same", stays=True), SourceChange.COPIED),
    (Seen(ELSEWHERE, OWN, "shorter"), SourceChange.UNRELATED),
    (Seen(ELSEWHERE, OWN, "other"), SourceChange.UNRELATED),
    (Seen(ELSEWHERE, OTHER, "same"), SourceChange.UNRELATED),
    (Seen(ELSEWHERE, OTHER, "other", stays=True), SourceChange.UNRELATED),
])  # fmt: skip
def test_what_is_known_and_what_is_seen_decide(seen: Seen, became: SourceChange) -> None:
    assert change_of(KNOWN, seen) is became


@pytest.mark.parametrize("contents", ["same", "shorter", "other"])
def test_a_source_of_which_nothing_was_read_may_be_any_file(contents: Contents) -> None:
    unread = Identity(HERE, None)
    seen = Seen(HERE, OTHER, contents)
    assert change_of(unread, seen) is change_of(KNOWN, Seen(HERE, OWN, contents))


def test_other_contents_in_the_same_place_begin_a_generation_and_nothing_else_does() -> None:
    begins = {became for became in SourceChange if became.begins_generation}
    assert begins == {SourceChange.TRUNCATED, SourceChange.REWRITTEN, SourceChange.REPLACED}


def test_a_generation_begins_at_the_first_byte_and_rests_on_the_same_row() -> None:
    precondition = Precondition(3, ReadRow(7, 1, 50, 99))
    read = StoredSource(
        7, HERE, Checkpoint(50, *OWN, 0, 99), LineCounts(lines=2), reread_bytes=10,
        rules=1, precondition=precondition,
    )  # fmt: skip
    begun = read.next_generation()
    assert (begun.generation, begun.checkpoint, begun.counts) == (2, Checkpoint(), LineCounts())
    assert (begun.reread_bytes, begun.rules > read.rules) == (0, True)
    assert (begun.id, begun.path, begun.precondition) == (7, HERE, precondition)
