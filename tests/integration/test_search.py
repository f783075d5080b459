"""What is found, what is not, and an index that follows the log by itself."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Literal

import pytest
from msgspec.structs import replace

from claude_headspace.errors import BadQuestion, DatabaseUnavailable
from claude_headspace.read import search as searching
from claude_headspace.read.connection import Reader, ReadPool
from claude_headspace.read.query import Hit, SearchQuestion, read_query
from claude_headspace.read.search import search, seconds_behind
from claude_headspace.store import search_index
from claude_headspace.store.connection import Database
from claude_headspace.store.follower import Follower
from claude_headspace.store.search_index import SearchIndex
from claude_headspace.store.search_words import PART_CHARACTERS, PART_WORDS, parts_of
from harness import Log
from servers import PostgresServer

MATCHES: tuple[Literal["words", "plain"], ...] = ("words", "plain")
START = datetime(2026, 2, 1, tzinfo=UTC)


class Library:
    """A log to search, and its index."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.pool = ReadPool(lambda: log.url)
        self.index = SearchIndex(lambda: log.url, busy=lambda: False)
        self._database = Database(lambda: log.url, application_name="test")
        self._said = 0

    def say(self, text: str, *, actor: str = "agent", session: str = "", **notes: Any) -> int:
        """A turn; its id."""
        self._said += 1
        session = session or str(uuid.uuid4())
        payload = {"session_uuid": session, "actor": actor, "text": text}
        return int(
            self.log.value(
                "INSERT INTO events (timestamp, event_type, payload, session_uuid, event_key,"
                " annotations) VALUES (%s, 'turn_detected', %s, %s, %s, %s) RETURNING id",
                (
                    START + timedelta(seconds=self._said),
                    json.dumps(payload),
                    session,
                    notes.pop("key", str(uuid.uuid4())),
                    json.dumps(notes),
                ),
            )
        )

    def catch_up(self) -> None:
        cursor = int(self.log.value("SELECT event_id FROM search_cursor"))
        self.index.catch_up(Follower(self._database, cursor, types=(), nudge=False))

    def close(self) -> None:
        self._database.close()
        self.index._database.close()
        self.pool.close_idle(0)

    def hits(self, q: str, **asked: Any) -> list[Hit]:
        with self.pool.reading() as reader:
            return list(search(reader, SearchQuestion(q, **asked)).rows)

    def found(self, q: str, **asked: Any) -> list[int]:
        """The ids of what is found, oldest first."""
        return sorted(hit.id for hit in self.hits(q, **asked))


@pytest.fixture
def library(log: Log) -> Iterator[Library]:
    made = Library(log)
    yield made
    made.close()


def marked(hit: Hit) -> list[str]:
    return [text for text, mark in hit.passage if mark]


def test_words_phrases_and_what_must_not_be_there(library: Library) -> None:
    first = library.say("The worktree index is broken, says Git.")
    other = library.say("An index of the worktree; nothing is broken.")
    snake = library.say("See worktree_index in src/git/index.py")
    library.catch_up()
    assert library.found("INDEX worktree") == [first, other, snake]
    assert library.found('"worktree index"') == [first, snake]
    assert library.found("worktree_index") == [first, snake]
    assert library.found("index -nothing") == [first, snake]
    assert library.found('index -"worktree index"') == [other]
    assert library.found("work*") == [first, other, snake]
    assert library.found("work") == []
    assert marked(library.hits('"worktree index"')[-1]) == ["worktree index"]


def test_plain_text_is_found_inside_of_words_and_signs(library: Library) -> None:
    code = library.say("call get_staged_file(a) in src/store/files.cpp, it is C++ code")
    words = library.say("get staged file")
    library.catch_up()
    for text in ("d_file(", "STAGED_file", "c/store/", "/files.cpp", "c++", "od", "_staged_"):
        assert library.found(text, match="plain") == [code], text
    assert library.found("%", match="plain") == []
    assert library.found("file", match="plain") == [code, words]
    assert marked(library.hits("Staged_File", match="plain")[0]) == ["staged_file"]


def test_every_language_is_read_the_same_way(library: Library) -> None:
    said = library.say("Größe ÄNDERN: naïve cafe\u0301 — “Straße” 日本語 x²")
    library.catch_up()
    for q in ("größe", "GRÖSSE", "ändern", "café", "strasse", "日本語", "x²", '"naïve café"'):
        assert library.found(q) == [said], q


def test_prompts_only_and_filters(library: Library) -> None:
    session = str(uuid.uuid4())
    prompt = library.say("please fix the parser", actor="user", session=session)
    answer = library.say("the parser is fixed")
    library.catch_up()
    assert library.found("parser", where="prompts") == [prompt]
    assert library.found("parser", where="prompts", match="plain") == [prompt]
    assert library.found("parser", session=session) == [prompt]
    assert library.found("parser", since=START + timedelta(seconds=2)) == [answer]
    assert library.found("parser", until=START + timedelta(seconds=2)) == [prompt]


def test_what_was_retracted_or_removed_is_not_found(library: Library) -> None:
    gone, removed = library.say("secret word"), library.say("secret word")
    library.catch_up()
    assert library.found("secret") == [gone, removed]
    library.log.rows("UPDATE events SET retracted_at = now() WHERE id = %s", (gone,))
    library.log.rows("DELETE FROM events WHERE id = %s", (removed,))
    for match in ("words", "plain"):
        assert library.found("secret", match=match) == []
    assert library.log.rows("SELECT event_id FROM search_parts") == [(gone,)]


def test_what_was_revised_is_found_by_its_new_words(library: Library) -> None:
    event = library.say("old " * (PART_WORDS + 9))
    library.catch_up()
    assert library.log.value("SELECT count(*) FROM search_parts") == 2
    library.log.rows(
        'UPDATE events SET payload = payload || \'{"text": "new"}\' WHERE id = %s', (event,)
    )
    library.catch_up()
    assert (library.found("old"), library.found("new")) == ([], [event])
    assert library.log.value("SELECT count(*) FROM search_parts") == 1


def test_a_copy_is_found_where_it_was_copied_from(library: Library) -> None:
    original, key = str(uuid.uuid4()), str(uuid.uuid4())
    first = library.say("said once", session=original, key=key)
    library.say("said once", key=key, copy_of=original)
    lonely = library.say("said once", copy_of=str(uuid.uuid4()))
    library.catch_up()
    assert library.found("said once") == [first, lonely]
    assert library.found("said once", match="plain") == [first, lonely]


def test_a_long_text_is_found_to_its_end(library: Library) -> None:
    filler = " ".join(f"word{number}" for number in range(40_000))
    said = library.say(f"{filler} needle in the hay {'x' * 300_000} last one")
    library.catch_up()
    for q in ("word0", "word39999 needle", '"word7999 word8000"', "needle hay", "last one"):
        assert library.found(q) == [said], q
    assert marked(library.hits('"needle in the"')[0]) == ["needle in the"]
    for text in ("39999 nee", "xx last"):
        assert library.found(text, match="plain") == [said], text


def test_parts_cover_a_text_and_stay_small() -> None:
    text = " ".join(["word"] * 50_000) + " " + "y" * 5000 + " end"
    parts = list(parts_of(text))
    assert parts[0].begins == 0
    assert parts[-1].begins + parts[-1].length == len(text)
    assert all(len(part.words.split()) <= PART_WORDS for part in parts)
    assert all(part.length <= PART_CHARACTERS + 200 for part in parts)
    assert all(b.begins < a.begins + a.length for a, b in pairwise(parts))
    assert list(parts_of("-- ++ __")) == []


def test_pages_follow_one_another_without_gap(library: Library) -> None:
    said = [library.say(f"number {number}") for number in range(25)]
    library.catch_up()
    for match in MATCHES:
        found: list[int] = []
        cursor: str | None = None
        with library.pool.reading() as reader:
            while True:
                asked = SearchQuestion("number", match=match, limit=10, cursor=cursor)
                page = search(reader, asked)
                found += [hit.id for hit in page.rows]
                cursor = page.next
                if cursor is None:
                    break
            assert found == said[::-1]


@pytest.mark.parametrize("most", [0, 4000])
def test_pages_follow_one_another_through_several_stretches(
    library: Library, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(searching, "MOST_PARTS", most)
    monkeypatch.setattr(searching, "_BOUNDS", searching._BOUNDS.replace("LIMIT 1000", "LIMIT 3"))
    said = [library.say("odd number" if number % 3 else "odd one") for number in range(30)]
    library.log.rows("UPDATE events SET timestamp = timestamp + id * interval '1 hour'")
    library.catch_up()
    numbers = [each for number, each in enumerate(said) if number % 3]
    asked, found = SearchQuestion("number", limit=7), list[int]()
    with library.pool.reading() as reader:
        while True:
            page = search(reader, asked)
            found += [hit.id for hit in page.rows]
            if page.next is None:
                break
            asked = replace(asked, cursor=page.next)
    assert found == numbers[::-1]


def test_what_was_moved_in_time_is_found_there(library: Library) -> None:
    first, second = library.say("same words"), library.say("same words")
    library.catch_up()
    assert [hit.id for hit in library.hits("same")] == [second, first]
    library.log.rows(
        "UPDATE events SET timestamp = timestamp + interval '1 day' WHERE id = %s", (first,)
    )
    library.catch_up()
    assert [hit.id for hit in library.hits("same")] == [first, second]
    assert library.found("same", since=START + timedelta(hours=1)) == [first]


_MANY = """
INSERT INTO events (timestamp, event_type, payload, session_uuid, event_key)
SELECT now() - n * interval '1 minute', 'turn_detected', jsonb_build_object('actor', 'agent',
 'text', CASE WHEN n % 50 = 0 THEN 'some' ELSE 'other' END || ' words'), gen_random_uuid(),
 gen_random_uuid() FROM generate_series({first}, {last}) n;
INSERT INTO search_parts (event_id, timestamp, part, begins, length, prompt, words)
SELECT id, timestamp, 0, 0, 11, false, to_tsvector('simple', payload ->> 'text') FROM events
ON CONFLICT DO NOTHING;
ANALYZE events, search_parts
"""


def test_a_page_of_a_longer_log_reads_no_more_of_it(library: Library) -> None:
    read = []
    for first, last in ((1, 10_000), (10_001, 20_000)):
        library.log.rows(_MANY.format(first=first, last=last))
        with library.pool.reading() as reader:
            counting = CountingReader(reader)
            assert len(search(counting, SearchQuestion("some")).rows) == 50
        read.append(counting.buffers)
    assert read[1] < 1.3 * read[0], read


class CountingReader(Reader):
    """Counts the pages that its statements read."""

    def __init__(self, reader: Reader) -> None:
        super().__init__(reader._database)
        self.buffers = 0

    def rows(self, statement: str, values: Any = (), seconds: float = 0) -> list[Any]:
        explained = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}"
        (((plan,),),) = super().rows(explained, values)
        self.buffers += plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
        return super().rows(statement, values, seconds)


def test_the_index_follows_and_tells_how_far_it_is_behind(library: Library) -> None:
    library.say("one")
    with library.pool.reading() as reader:
        assert 0 < seconds_behind(reader) < 60
        library.catch_up()
        assert seconds_behind(reader) == 0
    library.say("two")
    library.log.rows("UPDATE events SET recorded_at = now() - interval '90 s' WHERE id = 2")
    with library.pool.reading() as reader:
        assert 90 <= seconds_behind(reader) < 150


@pytest.mark.long
def test_a_page_of_large_texts_is_read_in_pieces(library: Library) -> None:
    said = [library.say(f"large {'z ' * 700_000}") for _ in range(4)]
    library.catch_up()
    assert library.found("large") == said
    assert library.log.value("SELECT event_id FROM search_cursor") == said[-1]


def test_what_takes_long_is_looked_for_further_back_by_the_next_page(library: Library) -> None:
    old = library.say("a needle_in it")
    library.log.rows("UPDATE events SET timestamp = timestamp - interval '3 hours'")
    new = library.say("the needle_in that")
    library.catch_up()
    asked = SearchQuestion("eedle", match="plain")
    found: list[int] = []
    with library.pool.reading() as reader:
        page = search(reader, asked, seconds=0)
        assert page.looked is not None
        assert page.looked.back_to is not None
        while page.next:
            found += [hit.id for hit in page.rows]
            page = search(reader, replace(asked, cursor=page.next), seconds=0)
    assert [*found, *(hit.id for hit in page.rows)] == [new, old]


class Enough(BaseException):
    """Ends what works for ever."""


PREPARED = "INFO the search index waits: the log is being prepared"
MISSING = (
    "WARNING the search index waits: the embedded Postgres has not been prepared yet",
    "WARNING the search index waits: the database holds no event log of this version: run `claude",
)


@pytest.mark.parametrize(("seconds", "told"), [(60.0, [PREPARED]), (0.0, MISSING)])
def test_a_log_that_is_still_being_made_is_no_surprise_at_first(
    postgres_server: PostgresServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    seconds: float,
    told: Sequence[str],
) -> None:
    monkeypatch.setattr(search_index, "PREPARING_SECONDS", seconds)
    for name in ("POLL_SECONDS", "_REST_SECONDS"):
        monkeypatch.setattr(search_index, name, 0)
    addresses = iter(["", postgres_server.url("postgres"), postgres_server.url("postgres")])

    def url() -> str:
        address = next(addresses, None)
        if address is None:
            raise Enough
        if not address:
            raise DatabaseUnavailable("the embedded Postgres has not been prepared yet")
        return address

    caplog.set_level("INFO", search_index.__name__)
    with pytest.raises(Enough):
        SearchIndex(url, busy=lambda: False).keep()
    logged = [f"{record.levelname} {record.getMessage()}" for record in caplog.records]
    assert len(logged) == len(told)
    assert all(line.startswith(begin) for line, begin in zip(logged, told, strict=True)), logged


def test_readers_cannot_write(library: Library) -> None:
    with library.pool.reading() as reader:
        assert reader.value("SELECT current_user") == "claude_headspace_reader"
        for statement in (
            "INSERT INTO search_due VALUES (1)",
            "SET transaction_read_only = off; INSERT INTO search_due VALUES (1)",
        ):
            with pytest.raises(DatabaseUnavailable):
                reader.rows(statement)
        assert _idle(reader)


def _idle(reader: Reader) -> bool:
    state = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in%'"
    return not reader.value(state)


@pytest.mark.parametrize("q", ["", "-", "-word", '""', "++", "*"])
def test_a_question_for_nothing_is_refused(q: str) -> None:
    with pytest.raises(BadQuestion, match=r"^q: "):
        read_query(q)
