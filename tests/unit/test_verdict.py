from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from claude_headspace.health.measures import Measures
from claude_headspace.health.observation import (
    DatabasePing,
    GuardState,
    Observation,
    ProgramState,
    Unanswered,
)
from claude_headspace.health.status_file import StatusProblem, WatcherStatus
from claude_headspace.health.units import format_bytes
from claude_headspace.health.verdict import Verdict, judge
from claude_headspace.web.strip import strip_of

NOW = 1_700_000_000.0
WATCHER = ProgramState("watcher", "RUNNING", 7, NOW - 100, "")
GUARD = ProgramState("guard", "RUNNING", 8, NOW - 100, "")
STATUS = WatcherStatus(pid=7, started_at=NOW - 99, beat_at=NOW - 0.5, state="capturing")
INNER = GuardState(restarts=0, limit=5, window_seconds=60)
ALL_WELL = Observation(
    now=NOW,
    status=STATUS,
    programs=(WATCHER, GUARD),
    guard=INNER,
    database=DatabasePing(0.002),
)
AWAY = Unanswered("supervisord is not running")
MISSING = StatusProblem("missing", "the watcher has written no status")


def with_status(**values: Any) -> Verdict:
    return judge(replace(ALL_WELL, status=replace(STATUS, **values)))


def with_watcher(**values: Any) -> Verdict:
    return judge(replace(ALL_WELL, programs=(replace(WATCHER, **values), GUARD)))


def only_reason(verdict: Verdict) -> str:
    assert verdict.status == "degraded"
    assert verdict.exit_status == 1
    (reason,) = verdict.reasons
    return reason


def test_all_well() -> None:
    verdict = judge(ALL_WELL)
    assert (verdict.status, verdict.reasons, verdict.notes) == ("healthy", (), ())
    assert verdict.exit_status == 0
    assert verdict.checks["watcher"]["uptime_seconds"] == 100


def test_what_endangers_the_user_is_a_reason_whatever_runs() -> None:
    seen = replace(ALL_WELL, dangers=("/home/u/.claude/settings.json holds danger",))
    assert only_reason(judge(seen)) == "/home/u/.claude/settings.json holds danger"
    assert judge(replace(seen, programs=AWAY, status=MISSING)).reasons[-1] == seen.dangers[0]


def test_a_watcher_whose_process_has_ended_is_down_at_once() -> None:
    seen = replace(ALL_WELL, programs=AWAY, ended=True)
    assert judge(seen).status == "down"
    assert "the watcher is not running: process 7 has ended" in judge(seen).reasons
    assert judge(seen).checks["watcher"]["running"] is False
    assert judge(replace(seen, ended=False)).status == "degraded"


def test_a_starting_process_that_works_already_is_well() -> None:
    assert with_watcher(state="STARTING").status == "healthy"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            {"state": "STOPPED", "pid": 0},
            "stopped; to start it: claude-headspace supervisorctl start watcher",
        ),
        ({"state": "FATAL", "pid": 0, "error": "crash loop: 5"}, "given up (crash loop: 5)"),
        ({"state": "BACKOFF", "pid": 0}, "has crashed and is being restarted"),
        ({"state": "EXITED", "pid": 0}, "has crashed and is being restarted"),
        ({"state": "STOPPING"}, "not running (STOPPING)"),
        ({"pid": 99}, "has not reported since its start (it has run as pid 99 for 100 s)"),
        ({"pid": 99, "started_at": NOW - 2}, "the watcher is starting"),
    ],
)
def test_a_watcher_that_does_not_run(values: dict[str, Any], words: str) -> None:
    assert words in only_reason(with_watcher(**values))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"beat_at": NOW - 4.5}, "is stuck: it runs (pid 7)"),
        ({"state": "waiting", "reason": "no database"}, "the watcher is waiting: no database"),
        ({"state": "starting"}, "the watcher is starting"),
        ({"failing_since": NOW - 9, "last_error": "full"}, ": full"),
        ({"trouble": "folders cannot be read (1): /p: no"}, "folders cannot be read (1): /p: no"),
        (
            {
                "backlog_bytes": 2_500_000,
                "backlog_files": 3,
                "oldest_unread_at": NOW - 6,
                "advanced_at": NOW - 99,
            },
            "makes no progress: 2.5 MB in 3 files unread, last progress 99 s ago",
        ),
        (
            {"backlog_bytes": 9, "oldest_unread_at": NOW - 60, "advanced_at": NOW - 1},
            "the watcher lags: 9 bytes in 0 files unread, the oldest for 60 s",
        ),
        ({"backlog_bytes": 9, "oldest_unread_at": NOW - 60}, "the watcher lags"),
    ],
)
def test_a_watcher_that_runs_but_is_not_well(values: dict[str, Any], words: str) -> None:
    assert words in only_reason(with_status(**values))


@pytest.mark.parametrize(
    "values",
    [
        {"backlog_bytes": 9, "oldest_unread_at": NOW - 4},
        {"backlog_bytes": 0, "oldest_unread_at": NOW - 400},
        {"failed": 3, "last_error": "it was full"},
    ],
)
def test_what_is_over_or_young_is_well(values: dict[str, Any]) -> None:
    assert with_status(**values).status == "healthy"


def test_a_status_that_cannot_be_read() -> None:
    reason = only_reason(judge(replace(ALL_WELL, status=MISSING)))
    assert reason == "the watcher has written no status (it has run as pid 7 for 100 s)"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"programs": (WATCHER,)}, "the guard is missing"),
        ({"programs": (WATCHER, replace(GUARD, state="FATAL", pid=0))}, "the guard is FATAL"),
        ({"guard": Unanswered("no such call")}, "plugin in supervisord is missing: no such call"),
        ({"guard": replace(INNER, broken="KeyError")}, "failed: KeyError"),
        ({"guard": replace(INNER, waiting_ticks=3)}, "does not respond"),
        ({"guard": replace(INNER, settings_problem="x")}, "default settings"),
        ({"programs": (GUARD,)}, "no program named watcher"),
        ({"database": Unanswered("no answer")}, "Postgres does not answer: no answer"),
    ],
)
def test_what_is_around_the_watcher(values: dict[str, Any], words: str) -> None:
    assert words in only_reason(judge(replace(ALL_WELL, **values)))


def test_without_supervisord_the_watchers_own_word_counts() -> None:
    alone = replace(ALL_WELL, programs=AWAY, guard=AWAY)
    verdict = judge(alone)
    assert (verdict.status, verdict.reasons) == ("degraded", ("supervisord is not running",))
    assert verdict.checks["watcher"]["running"]
    silent = judge(replace(alone, status=replace(STATUS, beat_at=NOW - 60)))
    assert (silent.status, silent.exit_status) == ("down", 2)
    assert "60 s old" in silent.reasons[1]
    assert judge(replace(alone, status=MISSING)).status == "down"


@pytest.mark.parametrize(("state", "tripped"), [("FATAL", True), ("STOPPED", False)])
def test_what_is_given_up_is_tripped(state: str, tripped: bool) -> None:
    assert with_watcher(state=state, pid=0).checks["watcher"]["tripped"] is tripped


def test_the_next_try_is_told() -> None:
    fatal = replace(WATCHER, state="FATAL", pid=0, error="crash loop: 5")
    seen = replace(ALL_WELL, programs=(fatal, GUARD), guard=replace(INNER, next_try_seconds=599.0))
    assert only_reason(judge(seen)) == (
        "the watcher was given up (crash loop: 5); next try in 10 min;"
        " after a fix: claude-headspace supervisorctl start watcher"
    )


def test_a_long_wait_that_was_announced_is_worth_a_note() -> None:
    verdict = with_status(doing="list /slow", doing_seconds=12.0, doing_limit=20.0)
    assert verdict.status == "healthy"
    assert verdict.notes == ("the watcher has been busy for 12 s (limit: 20 s): list /slow",)
    assert verdict.checks["watcher"]["doing"] == "list /slow"


def test_what_is_overdue_is_stuck() -> None:
    verdict = with_status(doing="list /slow", doing_seconds=22.0, doing_limit=20.0)
    assert only_reason(verdict) == ("the watcher is stuck: list /slow has taken 22 s (limit: 20 s)")
    assert verdict.notes == ()


def test_a_full_disk_is_told_as_such_and_not_as_stuck() -> None:
    full = "the disk of /state is full: 0 bytes are left; free some space"
    seen = replace(ALL_WELL, disk=full)
    assert only_reason(judge(seen)) == full
    silent = judge(replace(seen, status=replace(STATUS, beat_at=NOW - 60)))
    assert silent.reasons == (
        full,
        "the watcher's state (pid 7) is unknown: last report 60 s ago",
    )


def test_nobody_asked_for_the_database() -> None:
    verdict = judge(replace(ALL_WELL, database=None))
    assert verdict.status == "healthy"
    assert verdict.checks["database"] == {"reachable": None}


def test_notes_do_not_degrade() -> None:
    verdict = with_status(
        poison_lines=2, notifications=False, capture_total_bytes=1000.0, backlog_bytes=750
    )
    assert verdict.status == "healthy"
    assert [note.split(" ", 2)[0] for note in verdict.notes] == ["lines", "file", "reading"]
    assert "25%" in verdict.notes[-1]
    other = ProgramState("web", "FATAL", 0, 0, "port in use")
    seen = replace(ALL_WELL, programs=(WATCHER, GUARD, other))
    assert judge(seen).notes == ("web was given up (port in use)",)


def test_bytes_in_words() -> None:
    sizes = (0, 999, 1000, 2_500_000, 3e9, 4e12)
    assert [format_bytes(size) for size in sizes] == [
        *("0 bytes", "999 bytes", "1.0 kB"),
        *("2.5 MB", "3.0 GB", "4.0 TB"),
    ]


def test_rejected_lines_are_counted_by_what_is_wrong_with_them() -> None:
    measures = Measures()
    measures.rejected.update(damaged=3, too_long=1)
    assert only_reason(with_status(rejected=4, measures=measures)) == (
        "lines or events rejected since the watcher started: 4 (3 damaged, 1 too_long);"
        " see `claude-headspace rejected`"
    )


def test_the_strip_says_that_a_backlog_is_read() -> None:
    verdict = with_status(capture_total_bytes=1000.0, backlog_bytes=750)
    assert strip_of(verdict, NOW).verdict == "Catching up."
    assert strip_of(judge(ALL_WELL), NOW).verdict != "Catching up."


def test_the_strip_names_a_command_once() -> None:
    strip = strip_of(with_watcher(state="STOPPED", pid=0), NOW)
    told = strip.verdict, strip.detail, strip.command
    assert told == (
        "The watcher is stopped.",
        "",
        "claude-headspace supervisorctl start watcher",
    )
