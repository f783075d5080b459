"""The restart limit, held by a real supervisord over real deaths."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest
from supervised import Supervised, free_port, kill, supervised, wait_for

from claude_headspace.supervision.control import SupervisorError
from claude_headspace.supervision.health_check import ask_guard, observe

LIMIT = 5
BACK_SECONDS = 5.0
STALL_SECONDS = 10.0
Plan = list[tuple[float, str]]
MIXED: Plan = [
    (0.05, "1"),
    (0.2, "SIGKILL"),
    (0.05, "0"),
    (2.6, "SIGSEGV"),
    (0.05, "3"),
    (0.1, "1"),
]
QUICK: Plan = [(0.05, "1")] * 30
LATE: Plan = [(2.6, "0"), (3.5, "SIGKILL"), (2.2, "1"), (2.6, "SIGSEGV"), (2.3, "0"), (2.6, "1")]
BROKEN_LISTENER = f"{sys.executable} -I -c 'import missing_module_of_the_guard'"


def pauses(it: Supervised) -> list[float]:
    """Seconds from each death to the next start."""
    return [start - end for end, start in zip(it.moments("end"), it.starts()[1:], strict=False)]


def check_pauses(it: Supervised) -> None:
    """Each restart within five seconds; one may fall into a stall of a busy test machine."""
    *most, longest = sorted(pauses(it))
    assert max(most) < BACK_SECONDS
    assert longest < BACK_SECONDS + STALL_SECONDS


def restarts_in(it: Supervised) -> int:
    return int(it.supervisor.call("guard.getState")["restarts"])


def explain(deed: str) -> str:
    return f"exit status {deed}" if deed.isdigit() else f"killed by {deed}"


def log_line(it: Supervised, words: str) -> str:
    found = [line for line in it.text("supervisord.log").splitlines() if words in line]
    assert found, words
    return found[-1]


def check_trip(it: Supervised) -> None:
    it.wait_state("FATAL", seconds=90)
    assert len(it.starts()) == 1 + LIMIT
    check_pauses(it)
    assert f"crash loop: {LIMIT} restarts in 60 s" in it.ctl("status", "watcher")
    assert "ERRO" in (line := log_line(it, "gave up: watcher"))
    assert "supervisorctl start watcher" in line
    assert it.state_of("other") == "RUNNING"


def check_history(it: Supervised, plan: Plan) -> None:
    wait_for(lambda: len(it.history()) == 1 + LIMIT, "the history is incomplete")
    assert [each.outcome for each in it.history()] == ["restarted"] * LIMIT + ["gave up"]
    assert [each.attempt for each in it.history()] == [1, 2, 3, 4, 5, 5]
    assert [each.reason for each in it.history()] == [explain(deed) for _, deed in plan[:6]]
    lived = [each.uptime_seconds or 0 for each in it.history()]
    assert all(seconds >= wanted for seconds, (wanted, _) in zip(lived, plan, strict=False))
    wait_for(lambda: "ERROR guard: watcher" in it.text("guard.log"), "the log has no ERROR")


@pytest.mark.parametrize("plan", [MIXED, pytest.param(LATE, marks=pytest.mark.long)])
def test_exactly_five_restarts_then_fatal(state_directory: Path, plan: Plan) -> None:
    with supervised(state_directory, plan=[*plan, *QUICK]) as it:
        check_trip(it)
        check_history(it, plan)


@pytest.mark.long
def test_the_limit_holds_while_the_listener_is_killed(state_directory: Path) -> None:
    dice = random.Random(3)
    with supervised(state_directory, plan=[*MIXED, *QUICK]) as it:
        kills = 0
        while it.state_of() != "FATAL":
            kills += kill_listener(it)
            time.sleep(dice.uniform(0.05, 1.0))
        assert kills >= 3
        check_trip(it)
        check_history(it, MIXED)


def kill_listener(it: Supervised) -> bool:
    try:
        pid = it.pid_of("guard")
    except SupervisorError:
        return False
    if pid:
        kill(pid, signal.SIGKILL)
    return bool(pid)


def test_a_broken_listener_changes_nothing_but_health(state_directory: Path) -> None:
    with supervised(state_directory, plan=QUICK, listener=BROKEN_LISTENER) as it:
        check_trip(it)
        assert it.history() == []
        seen = observe(it.supervisor, it.state)
        assert isinstance(seen.programs, tuple)
        states = {each.name: each.state for each in seen.programs}
        assert states["guard"] in ("BACKOFF", "STARTING", "EXITED")


def test_without_the_inner_half_neither_the_listener_nor_the_watcher_starts(
    state_directory: Path,
) -> None:
    watcher = f"{sys.executable} -I -m claude_headspace.watcher"
    with supervised(state_directory, enforcer=False, watcher=watcher) as it:
        it.wait_state("FATAL", seconds=60)
        assert "no working [rpcinterface:guard]" in it.text("watcher.err")
        assert "supervisord has no [rpcinterface:guard]" in it.text("guard.log")
        ended = ("EXITED", "BACKOFF", "FATAL")
        wait_for(lambda: it.state_of("guard") in ended, "the listener works on")


def retrying(**event_system: object) -> dict[str, dict[str, object]]:
    return {"supervision": {"retry_seconds": 6}, "event_system": event_system}


def test_a_watcher_that_was_given_up_is_tried_once_in_a_while(state_directory: Path) -> None:
    settings = retrying(max_restarts_per_minute=1)
    with supervised(state_directory, plan=QUICK, settings=settings, window=4.0) as it:
        it.wait_state("FATAL")
        assert len(it.starts()) == 2
        given_up = it.moments("end")[-1]
        assert 0 < it.supervisor.call("guard.getState")["next_try_seconds"] <= 6
        wait_for(lambda: len(it.starts()) == 3, "it was not tried again", 20)
        assert it.starts()[2] - given_up >= 5.9
        it.wait_state("FATAL")
        assert len(it.starts()) == 3
        assert "the retry ended after" in it.ctl("status", "watcher")
        it.write_plan([])
        it.wait_state("RUNNING")
        assert len(it.starts()) == 4
        assert it.supervisor.call("guard.getState")["next_try_seconds"] == -1
        wait_for(lambda: len(it.history()) == 5, "the history is incomplete")
        outcomes = [each.outcome for each in it.history()]
        tried = ["tried again", "gave up", "tried again"]
        assert outcomes == ["restarted", "gave up", *tried]
        assert it.history()[2].reason == "given up: crash loop: 1 restart in 4 s"
        assert it.history()[-1].number == 3


@pytest.mark.long
def test_tries_and_operators_stay_within_the_limit(state_directory: Path) -> None:
    """All starts but the first count, whoever makes them, also over a reload."""
    with supervised(state_directory, plan=QUICK, settings=retrying()) as it:
        it.wait_state("FATAL", seconds=60)
        it.ctl("start", "watcher")
        it.wait_state("FATAL")
        kill(it.process.pid if it.process else 0, signal.SIGHUP)
        wait_for(lambda: len(it.starts()) == 3 + LIMIT, "the reload did not start it")
        it.wait_state("FATAL", seconds=30)
        committed = len(it.starts())
        time.sleep(11)
        assert it.state_of() == "FATAL"
        assert len(it.starts()) == committed
        assert restarts_in(it) == 1 + LIMIT


def test_never_is_never(state_directory: Path) -> None:
    settings: dict[str, dict[str, object]] = {
        "supervision": {"retry_seconds": 0},
        "event_system": {"max_restarts_per_minute": 1},
    }
    with supervised(state_directory, plan=QUICK, settings=settings, window=2.0) as it:
        it.wait_state("FATAL")
        time.sleep(8)
        assert len(it.starts()) == 2
        assert it.supervisor.call("guard.getState")["next_try_seconds"] == -1


@pytest.mark.long
def test_crashes_that_stay_under_the_limit_never_trip_it(state_directory: Path) -> None:
    settings = {"event_system": {"max_restarts_per_minute": 2}}
    with supervised(state_directory, plan=[(2.1, "1")] * 4, settings=settings, window=4.0) as it:
        wait_for(lambda: len(it.starts()) == 5, "it was not restarted", 60)
        it.wait_state("RUNNING")
        check_pauses(it)


def test_a_sigterm_from_outside_is_a_crash(state_directory: Path) -> None:
    with supervised(state_directory) as it:
        kill(it.wait_beating(), signal.SIGTERM)
        wait_for(lambda: len(it.starts()) == 2, "it was not restarted")
        assert it.starts()[1] - it.moments("stop")[0] < 5
        assert restarts_in(it) == 1


@pytest.mark.long
def test_two_servers_do_not_count_twice(state_directory: Path) -> None:
    second = f"\n[inet_http_server]\nport = 127.0.0.1:{free_port()}\n"
    with supervised(state_directory, plan=QUICK, further_configuration=second) as it:
        check_trip(it)


def test_operators_are_not_crashes(state_directory: Path) -> None:
    with supervised(state_directory) as it:
        it.wait_beating()
        for command in ("restart", "stop", "start"):
            it.ctl(command, "watcher")
        kill(it.process.pid if it.process else 0, signal.SIGHUP)
        wait_for(lambda: len(it.starts()) == 4, "the reload did not start it again")
        it.wait_state("RUNNING")
        assert restarts_in(it) == 0
        assert it.history() == []


def test_an_operators_start_works_but_gives_no_fresh_five(state_directory: Path) -> None:
    with supervised(state_directory, plan=QUICK) as it:
        check_trip(it)
        assert "spawn error" in it.ctl("start", "watcher")
        it.wait_state("FATAL")
        assert len(it.starts()) == 2 + LIMIT
        it.write_plan([])
        assert "watcher: started" in it.ctl("start", "watcher")
        assert it.state_of() == "RUNNING"


@pytest.mark.parametrize("how", ["reload", "killed"])
def test_the_memory_survives_supervisord(state_directory: Path, how: str) -> None:
    with supervised(state_directory, plan=QUICK[:3]) as it:
        wait_for(lambda: len(it.starts()) == 4, "it was not restarted three times")
        it.write_plan(QUICK)
        if how == "reload":
            kill(it.process.pid if it.process else 0, signal.SIGHUP)
        else:
            it.close()
            it.start()
        it.wait_state("FATAL", seconds=60)
        assert len(it.starts()) == 4 + 1 + 2
        assert "crash loop: 5 restarts" in it.ctl("status", "watcher")


@pytest.mark.parametrize("seconds", [0.05, 2.5])
def test_bad_configuration_is_not_retried(state_directory: Path, seconds: float) -> None:
    with supervised(state_directory, plan=[(seconds, "bad configuration")]) as it:
        it.wait_state("FATAL")
        assert len(it.starts()) == 1
        assert "bad configuration: web.port: must be less" in it.ctl("status", "watcher")
        wait_for(lambda: len(it.history()) == 1, "the history is incomplete")
        assert it.history()[0].reason == "exit status 78"
        assert "watcher: started" in it.ctl("start", "watcher")


def test_settings_come_from_the_configuration_and_follow_it(state_directory: Path) -> None:
    settings = {"event_system": {"max_restarts_per_minute": 2, "shutdown_timeout_seconds": 0.5}}
    with supervised(state_directory, plan=QUICK, settings=settings) as it:
        it.wait_state("FATAL")
        assert len(it.starts()) == 3
        it.write_settings({"event_system": {"max_restarts_per_minute": 4}})
        assert it.ctl("update") == "[0]"
        assert it.supervisor.call("guard.getState")["limit"] == 4
        it.ctl("start", "watcher")
        it.wait_state("FATAL")
        assert len(it.starts()) == 1 + 4


def test_a_watcher_that_will_not_stop_is_killed_in_time(state_directory: Path) -> None:
    settings = {"event_system": {"shutdown_timeout_seconds": 0.5}}
    with supervised(state_directory, settings=settings) as it:
        (it.state / "stubborn").touch()
        it.wait_beating()
        it.wait_state("RUNNING")
        began = time.monotonic()
        it.ctl("stop", "watcher")
        assert it.state_of() == "STOPPED"
        assert time.monotonic() - began < 2.0 + 1.0


def test_a_memory_that_cannot_be_written_leaves_the_limit_in_place(state_directory: Path) -> None:
    state_directory.mkdir(mode=0o700)
    (state_directory / "guard.json").mkdir()
    with supervised(state_directory, plan=QUICK) as it:
        check_trip(it)
        assert "cannot be saved" in it.text("supervisord.log")


def test_an_unreadable_configuration_leaves_the_limit_in_place(state_directory: Path) -> None:
    it = Supervised(state_directory, plan=QUICK)
    it.write_settings({"web": {"port": "many"}})
    it.start()
    try:
        it.wait_state("FATAL")
        assert len(it.starts()) == 1 + LIMIT
        guard = ask_guard(it.supervisor)
        assert "web.port" in getattr(guard, "settings_problem", "")
        assert it.state_of("other") == "RUNNING"
    finally:
        it.close()


def test_nothing_outlives_a_killed_supervisord(state_directory: Path) -> None:
    with supervised(state_directory) as it:
        pid = it.wait_beating()
        assert it.process is not None
        it.process.kill()
        it.process.wait()
        wait_for(lambda: not is_alive(pid), "the watcher lives on")


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


def test_an_alert_runs_when_the_watcher_is_given_up(state_directory: Path) -> None:
    state_directory.mkdir(mode=0o700)
    told = state_directory / "told"
    script = f'echo "$HEADSPACE_ALERT: $HEADSPACE_REASON" >> {told}'
    settings = {"alerts": {"command": ["sh", "-c", script]}}
    with supervised(state_directory, plan=QUICK, settings=settings) as it:
        it.wait_state("FATAL", seconds=60)
        wait_for(told.exists, "no alert")
        trip = "gave up: crash loop: 5 restarts in 60 s; next try in 15 min\n"
        wait_for(lambda: told.read_text().endswith(trip), "no word of the trip")
        it.write_plan([])
        it.ctl("start", "watcher")
        wait_for(lambda: "recovered: " in told.read_text(), "no word of the recovery", 40)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(6))
def test_random_mixes_of_deaths(state_directory: Path, seed: int) -> None:
    dice = random.Random(seed)
    deeds = ("0", "1", "SIGKILL", "SIGSEGV", "SIGTERM", "SIGABRT")
    plan = [(dice.choice((0.05, 1.0, 1.9, 2.1, 3.0, 8.0)), dice.choice(deeds)) for _ in range(6)]
    with supervised(state_directory, plan=[(s, d) for s, d in plan] + QUICK) as it:
        while it.state_of() != "FATAL":
            kill_listener(it)
            time.sleep(dice.uniform(0.05, 3.0))
        windows = [
            sum(0 <= other - one < 60 for other in it.starts()[1:]) for one in it.starts()[1:]
        ]
        assert max(windows) <= LIMIT
        check_pauses(it)
        assert "crash loop" in it.ctl("status", "watcher")


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_crash_every_thirteen_seconds_never_trips_it(state_directory: Path) -> None:
    with supervised(state_directory, plan=[(13.0, "SIGKILL")] * 14) as it:
        wait_for(lambda: len(it.starts()) == 15, "it was not restarted", 300)
        it.wait_state("RUNNING")
        check_pauses(it)


def test_each_start_has_its_pause_and_needs_no_log(state_directory: Path) -> None:
    """A program that may end at any time fails at once; the folder of its log is removed."""
    folder = state_directory / "log"
    folder.mkdir(parents=True)
    spin = (
        "[program:spin]\ncommand = false\nstartsecs = 0\nautorestart = unexpected\n"
        f"stdout_logfile = {folder}/spin.log\nstderr_logfile = NONE\n"
    )
    with supervised(state_directory, further_configuration=spin) as it:
        it.wait_state("BACKOFF", "spin")
        shutil.rmtree(folder)
        it.supervisor.call("supervisor.stopProcess", "spin")
        it.supervisor.call("supervisor.startProcess", "spin", False)
        it.wait_state("BACKOFF", "spin")
        assert (folder / "spin.log").exists()
        shutil.rmtree(folder)
        folder.touch()
        it.supervisor.call("supervisor.stopProcess", "spin")
        it.supervisor.call("supervisor.startProcess", "spin", False)
        it.wait_state("BACKOFF", "spin")
        assert it.text("supervisord.log").count("spawned: 'spin'") == 3
        assert not it.supervisor.call("guard.getState")["broken"]
