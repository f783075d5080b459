from __future__ import annotations

import os
import random
import shutil
import signal
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

import lines
from faults.machine import namespaces_work
from harness import Log, Projects, Watcher, assert_exactly_captured, wait_until
from lines import new_session


def _has_turns(log: Log, session: str, count: int) -> bool:
    return len(log.texts(session)) == count


def _has_more_turns(log: Log, before: int) -> bool:
    return log.count("turn_detected") > before


def _has_timeouts(log: Log, session: str, count: int) -> bool:
    return len(log.timeouts(session)) == count


def test_a_history_is_captured_exactly_and_a_restart_adds_nothing(
    projects: Projects, log: Log, watcher: Watcher
) -> None:
    projects.fill(sessions=6, turns=40)
    with watcher.running():
        assert_exactly_captured(projects, log)
        assert log.count("session_registered") == 6
    before = log.fingerprint()
    with watcher.running():
        watcher.wait_ready()
        assert watcher.status()["notifications"]
        projects.say(new_session(), "the last")
        assert_exactly_captured(projects, log)
        assert log.fingerprint()[:-2] == before
    assert "WARNING" not in watcher.told()


def test_every_event_carries_project_and_agent(
    projects: Projects, log: Log, watcher: Watcher
) -> None:
    projects.fill(sessions=3, turns=2)
    with watcher.running():
        assert_exactly_captured(projects, log)
        wrong = log.value(
            "SELECT count(*) FROM events e LEFT JOIN agents a ON a.id = e.agent_id"
            " LEFT JOIN projects p ON p.id = e.project_id WHERE a.session_uuid IS NULL"
            " OR a.session_uuid <> e.session_uuid OR p.id IS DISTINCT FROM a.project_id"
        )
        assert wrong == 0
        assert {path for (path,) in log.rows("SELECT path FROM projects")} == {
            "/home/u/app0", "/home/u/app1", "/home/u/app2",
        }  # fmt: skip
        times = log.value(
            "SELECT count(*) FROM events WHERE event_type = 'turn_detected'"
            " AND timestamp <> (payload->>'turn_timestamp')::timestamptz"
        )
        assert times == 0


def test_lines_written_while_it_runs(projects: Projects, log: Log, watcher: Watcher) -> None:
    session = new_session()
    with watcher.running():
        watcher.wait_ready()
        for number in range(30):
            projects.say(session, f"line {number}")
            wait_until(partial(_has_turns, log, session, number + 1), "the line", 5)
        assert_exactly_captured(projects, log)


@pytest.mark.long
def test_killed_again_and_again(projects: Projects, log: Log, watcher: Watcher) -> None:
    projects.fill(sessions=8, turns=300)
    dice = random.Random(4)
    for _ in range(5):
        watcher.start()
        before = log.count("turn_detected")
        wait_until(partial(_has_more_turns, log, before), "progress")
        time.sleep(dice.random() * 0.05)
        watcher.kill()
    with watcher.running():
        assert_exactly_captured(projects, log)
        assert log.count("session_registered") == 8
    counts = log.rows("SELECT (counts->>'turns')::int, (counts->>'duplicates')::int"
                      " FROM checkpoints")  # fmt: skip
    assert (sum(t for t, _ in counts), sum(d for _, d in counts)) == (len(projects.turns()), 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_at_any_moment_it_ends_in_time_and_loses_nothing(
    projects: Projects, log: Log, watcher: Watcher, number: signal.Signals
) -> None:
    projects.fill(sessions=6, turns=200)
    dice = random.Random(5)
    for _ in range(5):
        process = watcher.start()
        wait_until(lambda: "start: pid" in watcher.told(), "the start")
        time.sleep(dice.random() * 0.5)
        began = time.monotonic()
        assert watcher.stop(number) == 0, watcher.told()
        assert time.monotonic() - began < 2
        assert process.poll() == 0
        watcher.log.unlink()
    with watcher.running():
        assert_exactly_captured(projects, log)


def test_stopped_while_it_reads_a_very_long_line(
    projects: Projects, log: Log, watcher: Watcher
) -> None:
    session = new_session()
    path = projects.path(session)
    projects.append(path, b"x" * 400_000_000)
    with watcher.running():
        watcher.wait_ready()
        began = time.monotonic()
        assert watcher.stop() == 0
        assert time.monotonic() - began < 2
        watcher.start()
        projects.append(path, b"\n")
        projects.say(session, "after it")
        wait_until(lambda: log.texts(session) == ["after it"], "the line after the long one")
        assert log.value("SELECT reason FROM dead_letters") == "too_long"
        assert log.value("SELECT length(content) FROM dead_letters") <= 65536


class TestPostgres:
    """Faults of the server, as far as one connection sees them."""

    def test_connections_are_terminated(
        self, projects: Projects, log: Log, watcher: Watcher
    ) -> None:
        projects.fill(sessions=6, turns=300)
        with watcher.running():
            expected = len(projects.turns())
            pause = 0.2
            while log.count("turn_detected") < expected:
                for pid in log.other_backends():
                    log.rows("SELECT pg_terminate_backend(%s)", (pid,))
                # A busy machine needs longer to connect again.
                time.sleep(pause)
                pause *= 1.2
            assert_exactly_captured(projects, log)
            for pid in log.other_backends():
                log.rows("SELECT pg_terminate_backend(%s)", (pid,))
            projects.say(new_session(), "idle no more")
            assert_exactly_captured(projects, log)
        assert "Traceback" not in watcher.told()

    def test_it_ends_in_time_while_the_server_is_frozen(
        self, projects: Projects, log: Log, watcher: Watcher
    ) -> None:
        projects.fill(sessions=1, turns=2)
        with watcher.running():
            assert_exactly_captured(projects, log)
            (backend,) = log.other_backends()
            os.kill(backend, signal.SIGSTOP)
            try:
                session = new_session()
                projects.say(session, "into the frost")
                time.sleep(0.5)  # in the middle of its wait, or before it: both must do
                began = time.monotonic()
                assert watcher.stop() == 0, watcher.told()
                assert time.monotonic() - began < 2
            finally:
                os.kill(backend, signal.SIGCONT)
            watcher.start()
            assert_exactly_captured(projects, log)

    def test_it_beats_while_the_server_is_frozen(
        self, projects: Projects, log: Log, watcher: Watcher
    ) -> None:
        session = new_session()
        with watcher.running():
            watcher.wait_ready()
            (backend,) = log.other_backends()
            os.kill(backend, signal.SIGSTOP)
            try:
                projects.say(session, "into the frost")
                seen = watcher.status()["beat_at"]
                wait_until(lambda: watcher.status()["beat_at"] > seen + 2, "signs of life", 10)
            finally:
                os.kill(backend, signal.SIGCONT)
            assert_exactly_captured(projects, log)

    def test_it_waits_for_a_schema(
        self, projects: Projects, empty_database_url: str, tmp_path: Path
    ) -> None:
        from claude_headspace.store import migrations

        projects.say(new_session(), "early")
        watcher = Watcher(tmp_path, empty_database_url, projects.root)
        with watcher.running():
            wait_until(lambda: "migrate" in str(watcher.status().get("reason")), "says so")
            migrations.upgrade(empty_database_url)
            assert_exactly_captured(projects, Log(empty_database_url))

    def test_it_waits_for_a_server(self, projects: Projects, tmp_path: Path) -> None:
        url = f"postgresql://x@/none?host={tmp_path}"
        watcher = Watcher(tmp_path, url, projects.root)
        with watcher.running():
            wait_until(lambda: watcher.status().get("state") == "waiting", "waits")

    def test_a_second_watcher_of_the_machine_waits(
        self, projects: Projects, log: Log, watcher: Watcher, tmp_path: Path
    ) -> None:
        session = new_session()
        projects.say(session, "one")
        second = Watcher(tmp_path / "second", log.url, projects.root)
        second.state.mkdir(parents=True)
        with watcher.running():
            assert_exactly_captured(projects, log)
            shutil.copy(watcher.state / "machine", second.state)
            with second.running():
                wait_until(
                    lambda: "another watcher" in str(second.status().get("reason")), "says so"
                )
                watcher.kill()
                projects.say(session, "two")
                assert_exactly_captured(projects, log)
            watcher.start()
            watcher.wait_ready()


class TestFiles:
    """What happens to files and directories while it runs."""

    def test_the_projects_directory_comes_later_goes_and_comes_again(
        self, projects: Projects, log: Log, watcher: Watcher, tmp_path: Path
    ) -> None:
        with watcher.running():
            watcher.wait_ready()
            projects.say(new_session(), "first")
            assert_exactly_captured(projects, log)
            projects.root.rename(tmp_path / "away")
            projects.say(new_session(), "second")
            wait_until(lambda: log.count("turn_detected") == 2, "the second")

    def test_new_directories_full_of_lines(
        self, projects: Projects, log: Log, watcher: Watcher
    ) -> None:
        projects.root.mkdir()
        with watcher.running():
            watcher.wait_ready()
            began = time.monotonic()
            projects.fill(sessions=12, turns=13)
            assert_exactly_captured(projects, log)
            # A sweep, the net behind notifications, would take a minute.
            assert time.monotonic() - began < 30

    def test_torn_lines(self, projects: Projects, log: Log, watcher: Watcher) -> None:
        session = new_session()
        path = projects.path(session)
        data = lines.joined(*(lines.user(session, f"€{n}") for n in range(3)))
        with watcher.running():
            watcher.wait_ready()
            for at in range(0, len(data), 7):
                projects.append(path, data[at : at + 7])
            assert_exactly_captured(projects, log)
            assert log.texts(session) == ["€0", "€1", "€2"]
            assert log.rows("SELECT reason FROM dead_letters") == []

    def test_a_final_line_without_newline_is_taken_and_may_get_it_later(
        self, projects: Projects, log: Log, watcher: Watcher
    ) -> None:
        session = new_session()
        path = projects.say(session, "one")
        projects.append(path, lines.raw(lines.user(session, "two")))
        with watcher.running():
            wait_until(lambda: log.texts(session) == ["one", "two"], "the final line")
            projects.append(path, b"\n")
            projects.say(session, "three")
            assert_exactly_captured(projects, log)
        assert log.rows("SELECT counts->'lines', counts->'turns' FROM checkpoints") == [(3, 3)]

    def test_a_torn_final_line_stays_unread(
        self, projects: Projects, log: Log, watcher: Watcher
    ) -> None:
        session = new_session()
        path = projects.say(session, "one")
        torn = lines.raw(lines.user(session, "two"))
        projects.append(path, torn[:-10])
        with watcher.running():
            wait_until(lambda: log.texts(session) == ["one"], "the whole line")
            time.sleep(0.6)  # longer than the wait for a final line
            projects.append(path, torn[-10:] + b"\n")
            wait_until(lambda: log.texts(session) == ["one", "two"], "the rest")
            assert log.rows("SELECT reason FROM dead_letters") == []

    @pytest.mark.parametrize("live", [True, False])
    def test_replaced_by_rename(
        self, projects: Projects, log: Log, watcher: Watcher, live: bool
    ) -> None:
        session = new_session()
        path = projects.say(session, "one", "two")
        with watcher.running():
            assert_exactly_captured(projects, log)
            if not live:
                assert watcher.stop() == 0
            fresh = path.with_suffix(".tmp")
            more = lines.joined(lines.user(session, "three"))
            fresh.write_bytes(path.read_bytes() + more)
            fresh.replace(path)
            if not live:
                watcher.start()
            assert_exactly_captured(projects, log)
            assert log.texts(session) == ["one", "two", "three"]
            assert log.value("SELECT counts->'duplicates' FROM checkpoints") == 0

    @pytest.mark.parametrize("live", [True, False])
    @pytest.mark.parametrize("size", ["shorter", "longer", "same"])
    def test_truncated_and_rewritten(
        self, projects: Projects, log: Log, watcher: Watcher, size: str, live: bool
    ) -> None:
        session = new_session()
        path = projects.say(session, "first 1", "first 2")
        texts = {"shorter": ["last 1"], "longer": ["last 1"] * 3, "same": ["last1 1", "last1 2"]}
        with watcher.running():
            assert_exactly_captured(projects, log)
            if not live:
                assert watcher.stop() == 0
            new = lines.joined(*(lines.user(session, text) for text in texts[size]))
            assert (len(new) == path.stat().st_size) == (size == "same")
            time.sleep(0.02)  # a tick of the file system's clock
            path.write_bytes(new)
            if not live:
                watcher.start()
            wait_until(lambda: len(log.texts(session)) == 2 + len(texts[size]), "the new lines")
            assert log.texts(session) == ["first 1", "first 2", *texts[size]]

    @pytest.mark.parametrize("live", [True, False])
    def test_renamed_beside_with_unread_lines(
        self, projects: Projects, log: Log, watcher: Watcher, live: bool
    ) -> None:
        session = new_session()
        path = projects.say(session, "one")
        with watcher.running():
            assert_exactly_captured(projects, log)
            if not live:
                assert watcher.stop() == 0
            projects.say(session, "two")
            path.rename(path.with_suffix(".jsonl.1"))
            projects.say(session, "three")
            if not live:
                watcher.start()
            wait_until(lambda: len(log.texts(session)) == 3, "all three")
            assert sorted(log.texts(session)) == ["one", "three", "two"]

    def test_a_directory_moved(self, projects: Projects, log: Log, watcher: Watcher) -> None:
        session = new_session()
        path = projects.say(session, "one")
        with watcher.running():
            assert_exactly_captured(projects, log)
            moved = path.parent.with_name("-elsewhere")
            path.parent.rename(moved)
            projects.append(moved / path.name, lines.joined(lines.user(session, "two")))
            assert_exactly_captured(projects, log)
            assert log.texts(session) == ["one", "two"]
            assert log.value("SELECT sum((counts->>'duplicates')::int) FROM checkpoints") == 0

    def test_deleted_while_lines_wait(self, projects: Projects, log: Log, watcher: Watcher) -> None:
        session = new_session()
        with watcher.running():
            path = projects.say(session, "one")
            wait_until(lambda: log.texts(session) == ["one"], "the first")
            projects.say(session, "two")
            path.unlink()
            projects.say(session, "three")
            wait_until(lambda: "three" in log.texts(session), "the file made anew")
            assert sorted(log.texts(session)) == ["one", "three", "two"]

    def test_an_unreadable_file_is_read_once_it_can_be(
        self, projects: Projects, log: Log, watcher: Watcher
    ) -> None:
        session = new_session()
        path = projects.say(session, "one")
        path.rename(path.with_suffix(".bak"))
        path.symlink_to("nowhere")
        projects.append(projects.root / "x" / "pipe.jsonl", b"")
        (projects.root / "x" / "pipe.jsonl").unlink()
        os.mkfifo(projects.root / "x" / "pipe.jsonl")
        (projects.root / "x" / "folder.jsonl").mkdir()
        with watcher.running():
            watcher.wait_ready()
            path.unlink()
            path.with_suffix(".bak").rename(path)
            wait_until(lambda: log.texts(session) == ["one"], "the line")

    def test_without_notifications(self, projects: Projects, log: Log, watcher: Watcher) -> None:
        watcher.settings["FILE_WATCHER__NOTIFICATIONS"] = False
        with watcher.running():
            watcher.wait_ready()
            projects.fill(sessions=3, turns=3)
            assert_exactly_captured(projects, log)

    def test_names_that_are_no_text(self, projects: Projects, log: Log, watcher: Watcher) -> None:
        session = new_session()
        folder = projects.root / os.fsdecode(b"\xff\xfe")
        projects.append(folder / f"{session}.jsonl", lines.joined(lines.user(session, "one")))
        with watcher.running():
            wait_until(lambda: log.texts(session) == ["one"], "the line")
        with watcher.running():
            watcher.wait_ready()


class TestHostileLines:
    """A line costs nothing but itself."""

    @pytest.mark.parametrize("line", [
        lines.raw(lines.user(new_session(), "x")).replace(b'"uuid":"', b'"uuid":"\xff'),
        lines.raw({**lines.user(new_session(), "x"), "timestamp": "0001-01-01T00:00:00+14:00"}),
        lines.raw({**lines.user(new_session(), "x"), "timestamp": "9999-12-31T23:59:59-14:00"}),
        lines.raw({**lines.user(new_session(), "x"), "timestamp": "9999-12-31T23:59:59Z"}),
        lines.raw({**lines.user(new_session(), "x"), "timestamp": "0001-01-01T00:00:00Z"}),
        lines.raw(lines.user(new_session(), "x", cwd="/" + random.Random(1).randbytes(4000).hex())),
        lines.raw(lines.user(new_session(), "x", cwd="/a\0b")),
        b'{"type":"progress","sessionId":"%s","cwd":"/a\\u0000\\ud83d"}' % new_session().encode(),
        lines.raw(lines.user(new_session(), "x", cwd="")),
        lines.raw(lines.user(new_session(), "x", cwd=None)),
        b"1 " * 300_000, b"{}" * 300_000, b'{"' * 300_000, b"[" * 300_000, b"\0" * 300_000,
        b"\xff" * 300_000,
    ], ids=range(16))  # fmt: skip
    def test_and_survives_restarts(
        self, projects: Projects, log: Log, watcher: Watcher, line: bytes
    ) -> None:
        session = new_session()
        path = projects.say(session, "before")
        projects.append(path, line + b"\n")
        projects.say(session, "after")
        for _ in range(2):
            with watcher.running():
                wait_until(lambda: log.texts(session)[-1:] == ["after"], "the line after it", 20)
                watcher.wait_ready()
                projects.say(session, "after")
                assert watcher.process is not None
        assert "Traceback" not in watcher.told()

    def test_very_many_types_of_lines(self, projects: Projects, log: Log, watcher: Watcher) -> None:
        session = new_session()
        path = projects.say(session, "before")
        projects.append(path, b"".join(b'{"type":"t%d"}\n' % n for n in range(20_000)))
        projects.say(session, "after")
        with watcher.running():
            assert_exactly_captured(projects, log)
            counts = log.value("SELECT counts FROM checkpoints")
        assert len(counts["other"]) < 1000
        assert sum(counts["other"].values()) == 20_000

    def test_characters_that_postgres_refuses_are_replaced_and_marked(
        self, projects: Projects, log: Log, watcher: Watcher
    ) -> None:
        session = new_session()
        for said in (b"a\\u0000b", b"a\\ud83db", b"a\xffb"):
            line = lines.raw(lines.user(session, "SAID")).replace(b"SAID", said)
            projects.append(projects.path(session), line + b"\n")
        with watcher.running():
            wait_until(lambda: log.texts(session) == ["a\ufffdb"] * 3, "the lines")
        marks = log.rows("SELECT annotations FROM events WHERE event_type = 'turn_detected'")
        assert marks == [({"replaced_characters": 1},)] * 3


class TestSessions:
    """session_registered and session_ended."""

    def test_a_session_without_turns_is_registered_by_its_first_directory(
        self, projects: Projects, log: Log, watcher: Watcher
    ) -> None:
        session = new_session()
        records = [lines.progress(session, cwd=None), lines.progress(session, cwd="/home/u/first"),
                   lines.progress(session, cwd="/home/u/second")]  # fmt: skip
        projects.append(projects.path(session), lines.joined(*records))
        with watcher.running():
            wait_until(lambda: log.count("session_registered", session) == 1, "the session")
            projects.say(session, "one")
            assert_exactly_captured(projects, log)
        assert log.rows("SELECT path FROM projects") == [("/home/u/first",)]
        assert log.count("session_registered") == 1
        assert log.value("SELECT payload FROM events WHERE event_type = 'session_registered'") == {
            "session_uuid": session,
            "project_path": "/home/u/first",
            "working_directory": "/home/u/first",
        }

    def test_an_old_history_has_one_ending_at_its_own_time(
        self, projects: Projects, log: Log, watcher: Watcher
    ) -> None:
        """With gaps in it, a last line without newline, and a subagent that was last."""
        watcher.settings["FILE_WATCHER__INACTIVITY_TIMEOUT_SECONDS"] = 10
        session = new_session()
        for at in (0, 10_000, 20_000):
            path = projects.say(session, "a", "b", at=at)
        projects.append(path, lines.raw(lines.user(session, "no newline", at=20_005)))
        projects.append(
            path.with_suffix("") / "subagents" / "agent-a.jsonl",
            lines.joined(lines.assistant(session, "done", at=20_008, isSidechain=True)),
        )
        with watcher.running():
            wait_until(lambda: log.timeouts(session), "the ending")
            wait_until(lambda: "no newline" in log.texts(session), "the last line")
            other = new_session()
            projects.say(other, "x")
            wait_until(lambda: log.timeouts(other), "another ending after it")
        with watcher.running():
            watcher.wait_ready()
        assert log.timeouts(session) == [
            ("timeout", lines.START + timedelta(seconds=20_018), 20_008)
        ]

    def test_it_speaks_again_and_ends_again(
        self, projects: Projects, log: Log, watcher: Watcher
    ) -> None:
        watcher.settings["FILE_WATCHER__INACTIVITY_TIMEOUT_SECONDS"] = 1
        session = new_session()
        with watcher.running():
            for number in range(2):
                now = (datetime.now(UTC) - lines.START).total_seconds()
                projects.say(session, "x", at=now)
                wait_until(partial(_has_timeouts, log, session, number + 1), "the ending")
                ended = log.value("SELECT ended_at FROM agents")
                assert log.timeouts(session)[-1][1] == ended
            assert log.count("session_registered", session) == 1
        with watcher.running():
            watcher.wait_ready()
            other = new_session()
            projects.say(other, "x")
            wait_until(lambda: log.timeouts(other), "another ending")
        assert len(log.timeouts(session)) == 2

    def test_only_registered_ones_and_those_from_their_first_byte(
        self, projects: Projects, log: Log, watcher: Watcher
    ) -> None:
        watcher.settings["FILE_WATCHER__SESSIONS"] = "registered"
        wanted, other = new_session(), new_session()
        projects.say(wanted, "one", "two")
        projects.say(other, "silence")
        with watcher.running():
            read = "SELECT count(*) FROM checkpoints WHERE committed_offset > 0"
            wait_until(lambda: log.value(read) == 2, "both read")
            assert log.fingerprint() == []
            log.register(wanted)
            wait_until(lambda: log.texts(wanted) == ["one", "two"], "the registered one")
            projects.say(wanted, "three")
            wait_until(lambda: log.texts(wanted) == ["one", "two", "three"], "what follows")
        with watcher.running():
            watcher.wait_ready()
        assert (log.texts(other), log.count("session_registered")) == ([], 1)

    @pytest.mark.parametrize("mode", ["all", "registered"])
    def test_unregistered_it_is_silent_until_registered_again(
        self, projects: Projects, log: Log, watcher: Watcher, mode: str
    ) -> None:
        watcher.settings["FILE_WATCHER__SESSIONS"] = mode
        session = new_session()
        projects.say(session, "one")
        if mode == "registered":
            log.register(session)
        with watcher.running():
            wait_until(lambda: log.texts(session) == ["one"], "the first")
            log.register(session, wanted=False)
            wait_until(lambda: log.timeouts(session), "the ending")
            assert [reason for reason, *_ in log.timeouts(session)] == ["unregistered"]
            projects.say(session, "two")
            wait_until(lambda: log.value("SELECT counts->'other'->'not_registered'"
                                         " FROM checkpoints"), "passed over")  # fmt: skip
        with watcher.running():
            watcher.wait_ready()
            assert log.texts(session) == ["one"]
            log.register(session)
            wait_until(lambda: log.texts(session) == ["one", "two"], "what was passed over")
            projects.say(session, "three")
            assert_exactly_captured(projects, log)
            assert log.count("session_registered", session) == 2
            assert len(log.timeouts(session)) == 1

    def test_a_project_deleted_while_it_runs(
        self, projects: Projects, log: Log, watcher: Watcher
    ) -> None:
        session = new_session()
        with watcher.running():
            projects.say(session, "one")
            wait_until(lambda: log.texts(session) == ["one"], "the first")
            log.rows("DELETE FROM projects")
            assert log.value("SELECT count(*) FROM events WHERE agent_id IS NOT NULL") == 0
            projects.say(session, "two")
            wait_until(lambda: log.texts(session) == ["one", "two"], "the second")
        assert log.rows("SELECT payload->>'text' FROM events JOIN agents ON agents.id = agent_id"
                        " JOIN projects p ON p.id = agents.project_id"
                        " WHERE p.path = '/home/u/app'") == [("two",)]  # fmt: skip
        assert log.count("session_registered") == 1


class TestProcess:
    """The process itself."""

    @pytest.mark.parametrize(("name", "value"), [
        ("DATABASE__URL", "mysql://x"), ("FILE_WATCHER__MAX_LINE_BYTES", "many"),
        ("NO_SUCH__KEY", 1),
    ])  # fmt: skip
    def test_bad_configuration(self, watcher: Watcher, name: str, value: object) -> None:
        watcher.settings[name] = value
        assert watcher.start().wait(30) == 78
        assert "Traceback" not in watcher.told()

    @pytest.mark.skipif(os.getuid() != 0 or not namespaces_work(), reason="needs mounts")
    def test_started_over_a_read_only_state_directory(
        self, projects: Projects, log: Log, watcher: Watcher
    ) -> None:
        session = new_session()
        with watcher.running():
            watcher.wait_ready()
        mounted = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'
        watcher.within = ("unshare", "-m", "sh", "-c", mounted, "sh", str(watcher.state))
        watcher.start()
        projects.say(session, "captured")
        wait_until(lambda: _has_turns(log, session, 1), "the turn")
        assert watcher.stop() == 0
        assert "line-in-flight" in watcher.told()
