"""The turns that the code finds in a file's lines: the one place that knows how to ask it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from claude_headspace.transcripts.parsed import Parsed, Turn
from claude_headspace.transcripts.transcript import Transcript


def turns_of_code(lines: Iterable[bytes]) -> list[tuple[str, str, str, str]]:
    """(session, actor, text, timestamp) of each turn, in the order in which the code has them."""
    return [
        (str(found.session), found.actor, found.text, found.timestamp_text)
        for found in parsed_by_code(lines)
        if isinstance(found, Turn)
    ]


def parse(line: bytes, start: int) -> Sequence[Parsed]:
    """What the code makes of one line by itself."""
    return Transcript().parse(line, start)


def parsed_by_code(lines: Iterable[bytes]) -> list[Parsed]:
    """What the code makes of a file's lines, and of what they leave open at the end."""
    transcript = Transcript()
    found = [parsed for line in lines for parsed in transcript.parse(line, 0)]
    return [*found, *transcript.waiting_prompts(0)]
