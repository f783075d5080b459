"""A watcher that is alive but does nothing is ended and restarted; others are not touched."""

from __future__ import annotations

import shutil
import signal
import time
from pathlib import Path

import pytest
from supervised import Supervised, kill, supervised, wait_for

from claude_headspace.embedded.location import short_directory

FOUND_AND_BACK_SECONDS = 5.0
STALL_SECONDS = 10.0
SILENT = "stuck: no heartbeat for 3 s"


def wait_armed(it: Supervised) -> int:
    """Wait until the listener has heard the watcher; return the watcher's pid."""
    it.wait_state("RUNNING", "guard")
    pid = it.wait_beating()
    time.sleep(1.5)
    return pid


def freeze_and_measure(it: Supervised, pid: int) -> float:
    before = len(it.starts())
    frozen = time.monotonic()
    kill(pid, signal.SIGSTOP)
    wait_for(lambda: len(it.starts()) > before, "it was not restarted", 15)
    return it.starts()[-1] - frozen


def test_a_frozen_watcher_is_back_in_time(state_directory: Path) -> None:
    with supervised(state_directory) as it:
        first = freeze_and_measure(it, wait_armed(it))
        # Once more if the first fell into a stall of a busy test machine.
        if first >= FOUND_AND_BACK_SECONDS:
            assert freeze_and_measure(it, wait_armed(it)) < FOUND_AND_BACK_SECONDS
        wait_for(it.history, "no history")
        assert it.history()[0].reason == f"{SILENT}; last activity: work"
        assert SILENT in it.text("guard.log")
        assert it.supervisor.call("guard.getState")["restarts"] == len(it.history())


def test_a_watcher_that_froze_while_the_listener_was_away_is_found(state_directory: Path) -> None:
    with supervised(state_directory) as it:
        pid = wait_armed(it)
        kill(pid, signal.SIGSTOP)
        kill(it.pid_of("guard"), signal.SIGKILL)
        wait_for(lambda: len(it.starts()) == 2, "it was not restarted", 20)
        wait_for(it.history, "no history")
        assert it.history()[0].reason.startswith(SILENT)


def test_a_watcher_that_was_never_heard_is_left_alone(state_directory: Path) -> None:
    with supervised(state_directory, plan=[(1e9, "mute")]) as it:
        pid = wait_armed(it)
        time.sleep(4)
        assert it.pid_of() == pid


def test_a_frozen_supervisord_costs_the_watcher_nothing(state_directory: Path) -> None:
    with supervised(state_directory) as it:
        pid = wait_armed(it)
        assert it.process is not None
        kill(it.process.pid, signal.SIGSTOP)
        time.sleep(5)
        kill(it.process.pid, signal.SIGCONT)
        time.sleep(2.5)
        assert it.pid_of() == pid
        assert freeze_and_measure(it, pid) < FOUND_AND_BACK_SECONDS


def test_a_frozen_listener_costs_the_watcher_nothing(state_directory: Path) -> None:
    with supervised(state_directory) as it:
        pid, listener = wait_armed(it), it.pid_of("guard")
        kill(listener, signal.SIGSTOP)
        time.sleep(5)
        kill(listener, signal.SIGCONT)
        time.sleep(2.5)
        assert it.pid_of() == pid


def test_a_stopped_watcher_is_not_stuck(state_directory: Path) -> None:
    with supervised(state_directory) as it:
        wait_armed(it)
        it.ctl("stop", "watcher")
        time.sleep(4)
        assert it.state_of() == "STOPPED"
        assert "stuck" not in it.text("guard.log")


def test_work_that_hangs_is_ended_though_the_process_beats(state_directory: Path) -> None:
    with supervised(state_directory, plan=[(1.0, "doze")]) as it:
        wait_for(lambda: it.moments("end"), "it did not fall asleep")
        wait_for(lambda: len(it.starts()) == 2, "it was not restarted", 15)
        assert it.starts()[1] - it.moments("end")[0] < FOUND_AND_BACK_SECONDS + STALL_SECONDS
        wait_for(it.history, "no history")
        assert "stuck: work has taken" in it.history()[0].reason
        assert "(limit: 3 s)" in it.history()[0].reason


def test_slow_work_has_its_time_and_no_more(state_directory: Path) -> None:
    plan = [(0.5, "doing 30 7"), (0.5, "doing 1 1000000")]
    with supervised(state_directory, plan=plan) as it:
        pid = it.wait_beating()
        wait_for(lambda: it.moments("listed"), "the slow listing was ended")
        assert it.pid_of() == pid
        kill(pid, signal.SIGKILL)
        wait_for(lambda: len(it.starts()) == 3, "what was overdue was not ended", 20)
        wait_for(lambda: len(it.history()) == 2, "no history")
        assert it.history()[1].reason.startswith("stuck: list /slow has taken")
        assert it.history()[1].reason.endswith("(limit: 1 s)")


def test_beats_find_a_guard_that_was_started_again(state_directory: Path) -> None:
    with supervised(state_directory) as it:
        pid, listener = wait_armed(it), it.pid_of("guard")
        kill(listener, signal.SIGKILL)
        wait_for(lambda: it.pid_of("guard") not in (0, listener), "no other guard")
        time.sleep(4.5)
        assert it.pid_of() == pid
        assert freeze_and_measure(it, pid) < FOUND_AND_BACK_SECONDS + STALL_SECONDS


def test_a_socket_that_was_swept_away_is_made_anew(state_directory: Path) -> None:
    with supervised(state_directory) as it:
        pid = wait_armed(it)
        beats = it.state / "supervisor.beats"
        beats.unlink()
        wait_for(beats.exists, "no socket", 10)
        time.sleep(3.5)
        assert it.pid_of() == pid
        assert freeze_and_measure(it, pid) < FOUND_AND_BACK_SECONDS + STALL_SECONDS


def test_a_state_directory_with_a_long_path(state_directory: Path) -> None:
    state = state_directory.parent / ("long" * 30)
    place = short_directory(state)
    place.mkdir(mode=0o700)
    try:
        with supervised(state) as it:
            pid = wait_armed(it)
            assert freeze_and_measure(it, pid) < FOUND_AND_BACK_SECONDS + STALL_SECONDS
    finally:
        shutil.rmtree(place)


@pytest.mark.long
@pytest.mark.timeout(400)
def test_twelve_freezes_in_a_row(state_directory: Path) -> None:
    settings = {"event_system": {"max_restarts_per_minute": 60}}
    with supervised(state_directory, settings=settings) as it:
        taken = [freeze_and_measure(it, wait_armed(it)) for _ in range(12)]
        assert max(taken) < FOUND_AND_BACK_SECONDS, taken
        print(sorted(round(seconds, 2) for seconds in taken))
