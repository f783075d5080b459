"""A projects directory, a watcher over it, and the rows that come of it: all of them real."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2

import lines
from oracle import Expected, queue_identity, turns_below

HOST = "test-host"
WAIT_SECONDS = 60.0


def wait_until(condition: Callable[[], Any], what: str, seconds: float = WAIT_SECONDS) -> Any:
    """Return what the condition returned when it first was true; fail after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {seconds} s in vain: {what}"
        time.sleep(0.02)
    return found


class Projects:
    """A directory as Claude Code keeps it, with sessions made to order."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, session: str, cwd: str = "/home/u/app") -> Path:
        """Where a session's transcript is."""
        folder = "".join(c if c.isalnum() else "-" for c in cwd)
        return self.root / folder / f"{session}.jsonl"

    def append(self, path: Path, data: bytes) -> None:
        """Add bytes as they are, in one write."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab", buffering=0) as out:
            out.write(data)

    def say(self, session: str, *texts: str, at: float = 0, cwd: str = "/home/u/app") -> Path:
        """A user's turn for each text, one second apart; returns the transcript."""
        path = self.path(session, cwd)
        records = [
            lines.user(session, text, at=at + number, cwd=cwd) for number, text in enumerate(texts)
        ]
        self.append(path, lines.joined(*records))
        return path

    def fill(self, sessions: int, turns: int) -> None:
        """A history of sessions: turns of both kinds, tool results, subagents, and other lines."""
        for number in range(sessions):
            session, cwd = lines.new_session(), f"/home/u/app{number % 3}"
            path = self.path(session, cwd)
            records = [{"type": "summary", "summary": "s", "leafUuid": "x"}]
            for n in range(turns):
                records += [
                    lines.user(session, f"question {n} of {number}", at=n, cwd=cwd),
                    lines.assistant(session, [lines.thinking()], at=n, cwd=cwd),
                    lines.assistant(session, f"answer {n} ä€", at=n, cwd=cwd),
                    lines.user(session, [lines.tool_result("x" * 300)], at=n, cwd=cwd),
                ]
            self.append(path, lines.joined(*records))
            self.append(
                path.with_suffix("") / "subagents" / "agent-a1.jsonl",
                lines.joined(
                    lines.user(session, "do it", isSidechain=True, agentId="a1", cwd=cwd),
                    lines.assistant(session, "done", isSidechain=True, agentId="a1", cwd=cwd),
                ),
            )

    def turns(self) -> dict[tuple[str, str], Expected]:
        """What the log must hold, by (session, uuid)."""
        return turns_below(self.root)


class Log:
    """The rows, seen through a connection of its own."""

    def __init__(self, url: str) -> None:
        self.url = url

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of one query."""
        connection = psycopg2.connect(self.url)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(query, values or None)
                return list(cursor.fetchall()) if cursor.description else []
        finally:
            connection.close()

    def value(self, query: str, values: Sequence[Any] = ()) -> Any:
        """The one value of one query."""
        return self.rows(query, values)[0][0]

    def turns(self) -> list[Expected]:
        """Every turn in the order of the log; what was retracted is none."""
        return [
            Expected(session, uuid or queue_identity(when, text), actor, text, when)
            for session, uuid, actor, text, when in self.rows(
                "SELECT session_uuid::text, payload->>'line_uuid', payload->>'actor',"
                " payload->>'text', payload->>'turn_timestamp' FROM events"
                " WHERE event_type = 'turn_detected' AND retracted_at IS NULL ORDER BY id"
            )
        ]

    def texts(self, session: str) -> list[str]:
        """What was said in a session."""
        return [turn.text for turn in self.turns() if turn.session == session]

    def count(self, event_type: str, session: str | None = None) -> int:
        """How many events of a type there are, of one session or of all."""
        counted: int = self.value(
            "SELECT count(*) FROM events WHERE event_type = %s AND retracted_at IS NULL"
            " AND coalesce(session_uuid = %s::uuid, true)",
            (event_type, session),
        )
        return counted

    def timeouts(self, session: str) -> list[tuple[Any, ...]]:
        """(reason, timestamp, duration) of a session's ends, in order."""
        return self.rows(
            "SELECT payload->>'reason', timestamp, (payload->>'duration_seconds')::int FROM events"
            " WHERE event_type = 'session_ended' AND session_uuid = %s ORDER BY id",
            (session,),
        )

    def fingerprint(self) -> list[tuple[Any, ...]]:
        """All that must not change when nothing happens."""
        return self.rows("SELECT id, event_type, payload::text, annotations::text FROM events")

    def register(self, session: str, *, wanted: bool = True) -> None:
        """What the command line does to register or unregister a session."""
        self.rows(
            "INSERT INTO registrations (session_uuid, wanted) VALUES (%s, %s)"
            " ON CONFLICT (session_uuid) DO UPDATE SET wanted = excluded.wanted,"
            " generation = registrations.generation + 1;"
            " NOTIFY claude_headspace_registrations",
            (session, wanted),
        )

    def other_backends(self) -> list[int]:
        """The processes of the server that work for other connections."""
        found = self.rows(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        return [row[0] for row in found]


class Watcher:
    """`python -m claude_headspace.watcher` with settings of its own."""

    def __init__(self, directory: Path, url: str, *roots: Path, **settings: Any) -> None:
        self.state = directory / "state"
        self.log = directory / "watcher.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.options: tuple[str, ...] = ()
        # A command that runs its arguments.
        self.within: tuple[str, ...] = ()
        self.settings = {
            "DATABASE__URL": url,
            "STATE__HOST": HOST,
            "STATE__DIRECTORY": str(self.state),
            "CLAUDE__PROJECTS_PATH": [str(root) for root in roots],
            "FILE_WATCHER__RESCAN_INTERVAL_SECONDS": 0.2,
            "FILE_WATCHER__FINAL_LINE_WAIT_SECONDS": 0.3,
            "FILE_WATCHER__INACTIVITY_TIMEOUT_SECONDS": 100_000_000,
            **settings,
        }

    def environment(self) -> dict[str, str]:
        """The environment it runs in."""
        ours = {f"CLAUDE_HEADSPACE__{k}": json.dumps(v) for k, v in self.settings.items()}
        return {**os.environ, "CLAUDE_HEADSPACE_CONFIG": "/dev/null", **ours}

    def start(self) -> subprocess.Popen[bytes]:
        """Start it; it may not have come far when this returns."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.within, sys.executable, *self.options, "-m", "claude_headspace.watcher"],
                env=self.environment(),
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        return self.process

    @contextmanager
    def running(self) -> Iterator[Watcher]:
        """Started; stopped by SIGTERM, and with status 0, at the end."""
        self.start()
        try:
            yield self
            self.wait_started()
            assert self.stop() == 0, self.told()
        finally:
            self.kill()

    def wait_started(self) -> None:
        """Until it can be asked to stop: Python itself is ended by an early signal."""
        wait_until(lambda: self._status_of_this().get("state"), "the start")

    def wait_ready(self) -> None:
        """Until it captures."""
        wait_until(lambda: self._status_of_this().get("state") == "capturing", "to be ready")

    def _status_of_this(self) -> dict[str, Any]:
        assert self.process is not None
        assert self.process.poll() is None, self.told()
        status = self.status()
        return status if status.get("pid") == self.process.pid else {}

    def status(self) -> dict[str, Any]:
        """Its status file; empty while there is none."""
        found = list(self.state.glob("*.json"))
        return dict(json.loads(found[0].read_bytes())) if found else {}

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it by a signal; its exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(WAIT_SECONDS)

    def kill(self) -> None:
        """End it by force, if it runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def told(self) -> str:
        """What it logged."""
        return self.log.read_text("utf-8")


def assert_exactly_captured(projects: Projects, log: Log) -> None:
    """Wait until every turn is there, then: nothing lost, nothing doubled, all in order."""
    expected = projects.turns()
    wait_until(lambda: len(log.turns()) >= len(expected), f"{len(expected)} turns")
    found = log.turns()
    assert Counter((turn.session, turn.uuid) for turn in found) == Counter(expected.keys())
    assert {(turn.session, turn.uuid): turn for turn in found} == expected
    wrong_order = log.value(
        "SELECT count(*) FROM (SELECT source_offset, lag(source_offset) OVER"
        " (PARTITION BY source_id ORDER BY id) AS before FROM events"
        " WHERE event_type = 'turn_detected') e WHERE source_offset < before"
    )
    assert wrong_order == 0
    wait_until(lambda: unread(projects, log) == 0, "every byte is committed")


def unread(projects: Projects, log: Log) -> int:
    """Bytes of transcripts that no checkpoint has passed."""
    committed = dict(log.rows("SELECT path, committed_offset FROM checkpoints"))
    transcripts = [p for p in projects.root.rglob("*.jsonl") if p.name != "journal.jsonl"]
    return sum(path.stat().st_size - committed.get(str(path), 0) for path in transcripts)
