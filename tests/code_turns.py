"""The turns that the code finds in a file's lines: the one place that knows how to ask it."""

from __future__ import annotations

from collections.abc import Iterable

from claude_headspace.source.transcript import Turn, outcomes


def turns_of_code(lines: Iterable[bytes]) -> list[tuple[str, str, str, str]]:
    """(session, actor, text, timestamp) of each turn, in the order in which the code has them."""
    return [
        (str(found.session), found.actor, found.text, found.timestamp_text)
        for line in lines
        for found in outcomes(line, 0)
        if isinstance(found, Turn)
    ]
