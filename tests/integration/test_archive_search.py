"""What tools put out and what was thought is found in the archive, and in files not yet in it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import zstandard
from msgspec.structs import replace

from claude_headspace.read import archive_search
from claude_headspace.read.connection import ReadPool
from claude_headspace.read.paging import Page
from claude_headspace.read.query import Hit, SearchQuestion, SearchScope
from claude_headspace.read.search import search
from harness import Log

START = datetime(2026, 2, 1, tzinfo=UTC)
MACHINE = "00000000-0000-4000-8000-00000000abcd"


class Shelf:
    """A log whose transcripts are made line by line."""

    def __init__(self, log: Log, folder: Path) -> None:
        self.log = log
        self.pool = ReadPool(lambda: log.url, lambda: MACHINE)
        self._folder = folder

    def transcript(
        self, *records: dict[str, Any], archived: bool = True, project: str = "/w"
    ) -> str:
        """A session with these lines; its uuid."""
        session = str(uuid.uuid4())
        text = b"".join(
            json.dumps(
                {"sessionId": session, "timestamp": _time(at), **record},
                ensure_ascii=False, separators=(",", ":"),
            ).encode() + b"\n"
            for at, record in enumerate(records)
        )  # fmt: skip
        path = self._folder / f"{session}.jsonl"
        path.write_bytes(b"" if archived else text)
        source = self.log.value(
            "INSERT INTO checkpoints (machine, path, committed_offset, sessions)"
            " VALUES (%s, %s, %s, ARRAY[%s::uuid]) RETURNING id",
            (MACHINE, str(path), len(text), session),
        )
        self.log.rows(
            "INSERT INTO projects (machine, path) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            (MACHINE, project),
        )
        self.log.rows(
            "INSERT INTO agents (session_uuid, project_id, working_directory, started_at,"
            " last_seen_at) SELECT %s, id, '/w', %s, %s FROM projects WHERE path = %s",
            (session, START, START + timedelta(hours=1), project),
        )
        if archived:
            self._archive(source, text)
        return session

    def _archive(self, source: int, text: bytes) -> None:
        cut = len(text) // 2
        for start, piece in ((0, text[:cut]), (cut, text[cut:])):
            self.log.rows(
                "INSERT INTO archive_pieces (source_id, generation, start, length, digest, content)"
                " VALUES (%s, 1, %s, %s, '', %s)",
                (source, start, len(piece), zstandard.compress(piece)),
            )

    def page(
        self, q: str, place: SearchScope = "outputs", seconds: float = 5, **asked: Any
    ) -> Page[Hit]:
        with self.pool.reading() as reader:
            return search(reader, SearchQuestion(q, where=place, **asked), seconds)

    def all(
        self, q: str, place: SearchScope = "outputs", seconds: float = 5, **asked: Any
    ) -> list[Hit]:
        """Page after page."""
        found: list[Hit] = []
        cursor = None
        while True:
            page = self.page(q, place, seconds, cursor=cursor, **asked)
            found += page.rows
            if (cursor := page.next) is None:
                return found


def _time(at: float) -> str:
    return (START + timedelta(seconds=at)).isoformat().replace("+00:00", "Z")


def output(*texts: str, **more: Any) -> dict[str, Any]:
    """A line with results of calls."""
    blocks = [
        {"type": "tool_result", "tool_use_id": f"toolu_{n}_{abs(hash(text))}", "content": text}
        for n, text in enumerate(texts)
    ]
    return {"type": "user", "message": {"role": "user", "content": blocks}, **more}


def thought(text: str) -> dict[str, Any]:
    return {"type": "assistant", "message": {"content": [{"type": "thinking", "thinking": text}]}}


@pytest.fixture
def shelf(log: Log, tmp_path: Path) -> Iterator[Shelf]:
    made = Shelf(log, tmp_path)
    yield made
    made.pool.close_idle(0)


def marked(hit: Hit) -> list[str]:
    return [text for text, mark in hit.passage if mark]


@pytest.mark.parametrize("archived", [True, False])
def test_outputs_and_thoughts_are_told_apart(shelf: Shelf, archived: bool) -> None:
    session = shelf.transcript(
        output("The Needle lies\nhere"), thought("where is the needle?"), output("hay"),
        archived=archived,
    )  # fmt: skip
    (hit,) = shelf.all("needle")
    assert (hit.session, marked(hit), hit.project) == (session, ["Needle"], "/w")
    assert hit.call.startswith("toolu_0")
    (hit,) = shelf.all("needle", "thinking")
    assert (hit.call, marked(hit), hit.id > 0) == ("", ["needle"], True)
    assert shelf.all("nothing like it") == []


def test_text_is_found_as_it_was_and_not_as_json_writes_it(shelf: Shelf) -> None:
    shelf.transcript(output('say "hello\\world"\nnext line\tGRÜSSE'))
    for q in ('"HELLO\\world"', 'world"\nnext', "next line\tgrüsse", "grüsse", '"'):
        assert len(shelf.all(q, match="plain")) == 1, q
    for q in ("\\n", "toolu", "tool_result"):
        assert shelf.all(q, match="plain") == [], q


def test_all_words_and_none_of_the_unwanted(shelf: Shelf) -> None:
    shelf.transcript(output("alpha beta"), output("alpha gamma"), output("alpha"))
    assert len(shelf.all("alpha")) == 3
    assert len(shelf.all("beta alpha")) == 1
    assert len(shelf.all("alpha -gamma")) == 2
    assert len(shelf.all('"alpha beta"')) == 1


def test_filters(shelf: Shelf) -> None:
    one = shelf.transcript(output("needle"), output("needle"), project="/w/one")
    other = shelf.transcript(output("needle"), project="/w/other")
    assert {hit.session for hit in shelf.all("needle")} == {one, other}
    assert {hit.session for hit in shelf.all("needle", session=one[:8])} == {one}
    assert {hit.session for hit in shelf.all("needle", project="other")} == {other}
    assert len(shelf.all("needle", since=START + timedelta(seconds=1))) == 1
    assert len(shelf.all("needle", until=START + timedelta(seconds=1))) == 2
    assert shelf.all("needle", since=START + timedelta(days=1)) == []


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
@pytest.mark.parametrize("seconds", [0, 5])
def test_pages_follow_one_another_without_gap(shelf: Shelf, limit: int, seconds: float) -> None:
    for _ in range(3):
        shelf.transcript(
            output("needle 1", "hay", "needle 2"), thought("needle"), output("needle 3")
        )
    found = shelf.all("needle", seconds=seconds, limit=limit)
    assert len(found) == 9
    assert len({(hit.session, hit.call) for hit in found}) == 9


def test_it_tells_how_far_it_has_got(shelf: Shelf) -> None:
    for _ in range(4):
        shelf.transcript(output("hay " * 100))
    whole = int(shelf.log.value("SELECT sum(committed_offset) FROM checkpoints"))
    reached: list[int] = []
    cursor: str | None = None
    while True:
        page = shelf.page("needle", seconds=0, cursor=cursor)
        assert page.looked is not None
        assert page.looked.of_bytes == whole
        assert page.looked.bytes is not None
        reached.append(page.looked.bytes)
        if (cursor := page.next) is None:
            break
    assert reached == sorted(reached)
    assert len(set(reached)) == len(reached) >= 4
    assert reached[-1] == whole


def test_lines_longer_than_a_stretch_are_read_whole(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_search, "STRETCH", 300)
    session = shelf.transcript(
        output("a"), output("x" * 2000 + " needle"), output("needle"), output("b")
    )
    assert len(shelf.all("needle")) == 2
    with shelf.pool.reading() as reader:
        page = search(
            reader, replace(SearchQuestion("needle", where="outputs"), session=session), 0
        )
    assert page.next is not None
