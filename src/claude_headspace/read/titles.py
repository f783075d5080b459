"""Titles of sessions, and finding sessions by them."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from claude_headspace.read.connection import IS_TURN, Reader
from claude_headspace.read.session_facts import LineCache

TITLE_KINDS = ("custom-title", "ai-title", "summary", "agent-name")
# A session that begins with a slash command is named after the next prompt.
_FIRST_PROMPTS = (
    "SELECT left(e.payload->>'text', 1000) AS text, e.id FROM events e WHERE e.agent_id = a.id"
    f" AND {IS_TURN} AND e.retracted_at IS NULL"
    " AND e.payload->>'actor' = 'user' ORDER BY e.agent_id, e.id LIMIT 3"
)
_NAMES = ", ".join(f"a.titles->>'{kind}'" for kind in TITLE_KINDS)
_WORDS = f"(SELECT text FROM ({_FIRST_PROMPTS}) first ORDER BY text ~ '^/[a-z]', id LIMIT 1)"
GIVEN_TITLE = f"coalesce({_NAMES}, '')"
TITLE = f"coalesce({_NAMES}, {_WORDS}, '')"
LONGEST_TITLE = 120
_NO_TITLES = ("implement the following plan:",)
_FIRST_WORDS = f"SELECT a.id, coalesce({_WORDS}, '') FROM agents a WHERE a.id = ANY (%s)"
_STEP = 4000
_NEXT = (
    f"SELECT a.id, a.last_seen_at, {TITLE}, a.working_directory, p.path FROM agents a"
    " JOIN projects p ON p.id = a.project_id WHERE (a.last_seen_at, a.id) > (%s, %s)"
    f" ORDER BY a.last_seen_at, a.id LIMIT {_STEP}"
)
# A session may get its title after its last line.
_AGAIN = timedelta(hours=1)


def short_title(words: str) -> str:
    """The first line without Markdown; of a prompt with a plan, the plan's title."""
    lines = [line.strip("#*> \t") for line in words.splitlines()]
    lines = [line for line in lines if line and line.lower() not in _NO_TITLES]
    line = " ".join((lines or [""])[0].split())
    return line if len(line) <= LONGEST_TITLE else f"{line[:LONGEST_TITLE].rpartition(' ')[0]}…"


_known = LineCache[tuple[int, datetime | None], str]()


def first_words_of(reader: Reader, last_lines: Mapping[int, datetime | None]) -> dict[int, str]:
    """The first prompt of each of these sessions, given the time of its last line."""

    def read(new: Sequence[tuple[int, datetime | None]]) -> dict[tuple[int, datetime | None], str]:
        rows = reader.rows(_FIRST_WORDS, [[agent_id for agent_id, _ in new]])
        return {(agent_id, last_lines[agent_id]): words for agent_id, words in rows}

    return {key[0]: words for key, words in _known.of(list(last_lines.items()), read).items()}


class KnownTitles:
    """Title, directory and project of every session; read once, then updated."""

    def __init__(self) -> None:
        self._known: dict[int, str] = {}
        self._reached: tuple[Any, int] = ("-infinity", 0)
        self._last: tuple[list[str], list[int]] = ([], [])
        self._lock = threading.Lock()

    def having(self, reader: Reader, words: Sequence[str]) -> list[int]:
        """The sessions whose title, directory or project contains all of these words."""
        wanted = [word.lower() for word in words]
        with self._lock:
            if self._learn(reader) or wanted != self._last[0]:
                texts = self._known.items()
                found = [
                    agent_id for agent_id, text in texts if all(word in text for word in wanted)
                ]
                self._last = wanted, found
            return self._last[1]

    def _learn(self, reader: Reader) -> bool:
        """Read new titles; returns whether there were any."""
        news = False
        while True:
            rows = reader.rows(_NEXT, self._reached)
            for agent_id, _, title, *places in rows:
                text = " ".join([short_title(title), *places]).lower()
                news |= self._known.get(agent_id) != text
                self._known[agent_id] = text
            if rows:
                self._reached = rows[-1][1], rows[-1][0]
            if len(rows) < _STEP:
                break
        if rows:
            self._reached = rows[-1][1] - _AGAIN, 0
        return news


sessions_having = KnownTitles().having
