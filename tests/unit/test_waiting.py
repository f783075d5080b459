"""A session that begins to need the person is told of once."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from claude_headspace.read.sessions import Session
from claude_headspace.read.state import OpenCall, State
from claude_headspace.supervision.alerts import Alerts
from claude_headspace.web.waiting import Waiting

NOON = datetime(2026, 2, 7, 12, 0, tzinfo=UTC)
BEFORE = Session(
    1, "11111111-0000-4000-8000-000000000000", "fix it", "/home/u/app", "box", "/home/u/app",
    NOON, NOON, None, None, None,
)  # fmt: skip


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def question(seconds: float, session: Session = BEFORE) -> Session:
    call = OpenCall("AskUserQuestion", at(seconds), "which one?")
    return replace(session, state=State("needs", call.since, "no answer yet", call, "question"))


def permission(hook: float, call: float | None) -> Session:
    out = None if call is None else OpenCall("Bash", at(call), "make")
    return replace(BEFORE, state=State("needs", at(hook), "may it use Bash?", out))


@dataclass
class Told(Alerts):
    """Alerts that are kept instead of run."""

    alerts: list[tuple[str, str, str]] = field(default_factory=list)

    def raise_alert(self, kind: str, reason: str, session: str = "") -> None:
        self.alerts.append((kind, reason, session))

    def advance(self) -> None:
        pass


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def waiting(tmp_path: Path, told: Told) -> Waiting:
    made = Waiting(tmp_path / "told", told)
    made.see([])
    return made


def test_a_wait_is_told_once_with_what_is_asked(waiting: Waiting, told: Told) -> None:
    for _ in range(3):
        waiting.see([question(1)])
    assert told.alerts == [("waiting", "fix it (app, box): which one?", BEFORE.uuid)]


def test_the_next_question_is_another_beginning(waiting: Waiting, told: Told) -> None:
    waiting.see([question(1)])
    waiting.see([question(2)])
    waiting.see([])
    waiting.see([question(3)])
    assert len(told.alerts) == 3


def test_a_wait_that_is_seen_again_after_a_gap_is_the_same(waiting: Waiting, told: Told) -> None:
    for found in ([question(1)], [], [question(1)]):
        waiting.see(found)
    assert len(told.alerts) == 1


def test_hooks_that_repeat_and_a_line_that_comes_late_are_one_wait(
    waiting: Waiting, told: Told
) -> None:
    for found in (permission(5, None), permission(5, 4), permission(60, 4), permission(99, 4)):
        waiting.see([found])
    assert [alert[1] for alert in told.alerts] == ["fix it (app, box): may it use Bash?"]


def test_sessions_are_told_apart(waiting: Waiting, told: Told) -> None:
    other = replace(BEFORE, uuid="22222222-0000-4000-8000-000000000000")
    waiting.see([question(1)])
    waiting.see([question(1), question(1, other)])
    assert [alert[2] for alert in told.alerts] == [BEFORE.uuid, other.uuid]


def test_what_waits_at_the_very_first_look_had_begun_before(tmp_path: Path, told: Told) -> None:
    first = Waiting(tmp_path / "told", told)
    first.see([question(1)])
    first.see([question(1)])
    assert told.alerts == []
    first.see([question(2)])
    assert len(told.alerts) == 1


def test_a_restart_repeats_nothing_and_misses_nothing(
    tmp_path: Path, waiting: Waiting, told: Told
) -> None:
    waiting.see([question(1)])
    again = Waiting(tmp_path / "told", told)
    again.see([question(1)])
    assert len(told.alerts) == 1
    Waiting(tmp_path / "told", told).see([question(2)])
    assert len(told.alerts) == 2


def test_nothing_is_told_that_cannot_be_remembered(
    tmp_path: Path, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    waiting = Waiting(tmp_path / "told", told)
    waiting.see([])
    (tmp_path / "told").unlink()
    (tmp_path / "told").mkdir()
    waiting.see([question(1)])
    assert told.alerts == []
    assert "cannot be written" in caplog.text
