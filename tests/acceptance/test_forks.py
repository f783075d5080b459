"""Sessions that repeat the lines of another: what is a copy, of which session, and since when."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

import pytest

import lines
from harness import Log, Projects, Watcher, assert_exactly_captured, wait_until

ORIGINAL = "11111111-2222-4333-8444-555555555555"
FORK = "99999999-2222-4333-8444-555555555555"


def talk(session: str, first: int, last: int) -> list[lines.Record]:
    """Prompts and replies, one a second."""
    records = []
    for at in range(first, last):
        make = lines.assistant if at % 2 else lines.user
        records.append(make(session, f"{session[0]} says {at}", at=at))
    return records


def copied(records: list[lines.Record], told: str | None) -> list[lines.Record]:
    """The records as a fork repeats them, saying it of every line, of replies, or not at all."""
    found = []
    for record in records:
        copy = {**record, "sessionId": FORK}
        if told == "forkedFrom":
            copy["forkedFrom"] = {"sessionId": ORIGINAL, "messageUuid": record["uuid"]}
        elif told == "requestSessionId" and record["type"] == "assistant":
            copy["requestSessionId"] = ORIGINAL
        found.append(copy)
    return found


def marks(log: Log, session: str) -> dict[str, str | None]:
    """Of which session each turn is a copy, by its text."""
    return dict(
        log.rows(
            "SELECT payload->>'text', annotations->>'copy_of' FROM events"
            " WHERE event_type = 'turn_detected' AND session_uuid = %s",
            (session,),
        )
    )


def row(log: Log, session: str, column: str) -> Any:
    return log.value(f"SELECT {column} FROM agents WHERE session_uuid = %s", (session,))


def is_done(log: Log) -> bool:
    return bool(log.value("SELECT count(*) = 0 FROM agents WHERE copies = 'due'"))


@pytest.mark.parametrize("first", [ORIGINAL, FORK])
@pytest.mark.parametrize("told", ["forkedFrom", "requestSessionId"])
def test_a_copy_says_whose_it_is(
    projects: Projects, log: Log, watcher: Watcher, told: str, first: str
) -> None:
    """Also where the original has turns that the copy lacks, and said something later."""
    said = talk(ORIGINAL, 0, 6)
    files = {
        ORIGINAL: [*said, *talk(ORIGINAL, 200, 204)],
        FORK: [*copied(said[:4], told), *talk(FORK, 100, 104)],
    }
    with watcher.running():
        watcher.wait_ready()
        for session in sorted(files, key=lambda name: name != first):
            projects.append(projects.path(session), lines.joined(*files[session]))
            assert_exactly_captured(projects, log)
        wait_until(partial(is_done, log), "whose turns they are is found out")
    own = {f"9 says {at}": None for at in range(100, 104)}
    assert marks(log, FORK) == {**own, **{f"1 says {at}": ORIGINAL for at in range(4)}}
    assert set(marks(log, ORIGINAL).values()) == {None}
    assert (row(log, ORIGINAL, "forked_from"), row(log, FORK, "forked_from")) == (None, ORIGINAL)
    assert row(log, FORK, "started_at") == lines.START + timedelta(seconds=100)
    assert row(log, ORIGINAL, "started_at") == lines.START


def test_marked_at_once_and_begun_when_it_was_forked(
    projects: Projects, log: Log, watcher: Watcher
) -> None:
    """A fork of which nothing is known but what it repeats."""
    records = copied(talk(ORIGINAL, 0, 4), "forkedFrom")
    projects.append(projects.path(FORK), lines.joined(*records))
    with watcher.running():
        assert_exactly_captured(projects, log)
        assert set(marks(log, FORK).values()) == {ORIGINAL}
        written = projects.path(FORK).stat().st_mtime
        assert abs(row(log, FORK, "started_at").timestamp() - written) < 1
        assert log.value(
            "SELECT timestamp = started_at FROM events JOIN agents USING (session_uuid)"
            " WHERE event_type = 'session_registered'"
        )


@pytest.mark.parametrize("first", [ORIGINAL, FORK])
def test_where_no_line_says_it_the_copy_goes_on_first(
    projects: Projects, log: Log, watcher: Watcher, first: str
) -> None:
    said = talk(ORIGINAL, 0, 4)
    files = {
        ORIGINAL: [*said, *talk(ORIGINAL, 200, 202)],
        FORK: [*copied(said, None), *talk(FORK, 100, 102)],
    }
    with watcher.running():
        watcher.wait_ready()
        for session in sorted(files, key=lambda name: name != first):
            projects.append(projects.path(session), lines.joined(*files[session]))
            assert_exactly_captured(projects, log)
        wait_until(lambda: row(log, FORK, "forked_from") == ORIGINAL, "the guess")
        wait_until(partial(is_done, log), "nothing is due")
    assert marks(log, FORK) == {
        "9 says 100": None, "9 says 101": None, **{f"1 says {at}": ORIGINAL for at in range(4)},
    }  # fmt: skip
    assert set(marks(log, ORIGINAL).values()) == {None}
    assert row(log, ORIGINAL, "forked_from") is None
