"""The command line as people run it: a process, its output, its exit status."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg2
import pytest

from claude_headspace.inbox.messages import list_messages, read_message
from claude_headspace.machine import id_of_name
from claude_headspace.transcripts.checkpoint import RULES
from servers import PostgresServer

COMMAND = [sys.executable, "-I", "-m", "claude_headspace.cli"]
ENOUGH_SECONDS = 60.0
SESSION = "6f1d0a7e-0d3a-4c6b-9a0c-0123456789ab"
NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


class Cli:
    """Runs the command line with one database and one state directory."""

    def __init__(self, url: str, directory: Path) -> None:
        self.directory = directory
        self.state = directory / "var"
        self.state.mkdir(mode=0o700)
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "DATABASE_URL": url,
            "CLAUDE_HEADSPACE__STATE__DIRECTORY": str(self.state),
            "TZ": "UTC",
            "LANG": "C.UTF-8",
        }

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        environment = {**self.environment, **options.pop("env", {})}
        return subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=self.directory,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    def run(
        self, *arguments: str, given: str | None = None, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *arguments],
            cwd=self.directory,
            env={**self.environment, **(env or {})},
            input=given if given is not None else "",
            capture_output=True,
            text=True,
            timeout=ENOUGH_SECONDS,
            check=False,
        )

    def ok(self, *arguments: str, **options: Any) -> str:
        ended = self.run(*arguments, **options)
        assert (ended.returncode, ended.stderr) == (0, "")
        return ended.stdout

    def fails(self, status: int, *arguments: str, **options: Any) -> str:
        ended = self.run(*arguments, **options)
        assert ended.returncode == status, ended.stderr
        assert ended.stdout == ""
        assert ended.stderr.count("\n") == 1, ended.stderr
        assert ended.stderr.startswith("claude-headspace")
        return ended.stderr


@pytest.fixture
def cli(database_url: str, tmp_path: Path) -> Cli:
    return Cli(database_url, tmp_path)


def execute(cli: Cli, statement: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    connection = psycopg2.connect(cli.environment["DATABASE_URL"])
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def add_turn(cli: Cli, text: str, session: str = SESSION, key: UUID | None = None) -> None:
    execute(
        cli,
        "INSERT INTO projects (machine, path)"
        " VALUES (md5('h')::uuid, '/home/me/app') ON CONFLICT DO NOTHING;"
        "INSERT INTO agents (session_uuid, project_id, working_directory, started_at, last_seen_at)"
        " SELECT %s, id, path, '2026-01-01', '2026-01-02' FROM projects"
        " ON CONFLICT DO NOTHING;"
        "INSERT INTO events (timestamp, event_type, payload, session_uuid, event_key, project_id,"
        " agent_id) SELECT now(), 'turn_detected', %s, session_uuid, %s, project_id, id"
        " FROM agents WHERE session_uuid = %s; NOTIFY claude_headspace_events",
        (session, json.dumps({"actor": "user", "text": text}), str(key or uuid4()), session),
    )


def on_a_terminal(
    cli: Cli, *arguments: str, columns: int = 60, env: Mapping[str, str] | None = None
) -> bytes:
    """What a terminal of this width receives."""
    mine, theirs = pty.openpty()
    environment = {**cli.environment, "COLUMNS": str(columns), **(env or {})}
    with subprocess.Popen(
        [*COMMAND, *arguments], cwd=cli.directory, env=environment, stdin=theirs, stdout=theirs,
        stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        os.close(theirs)
        received = bytearray()
        try:
            while piece := os.read(mine, 4096):
                received += piece
        except OSError:  # what Linux says at the end
            pass
        finally:
            os.close(mine)
        assert process.wait(ENOUGH_SECONDS) == 0
    return bytes(received)


def lines_of(process: subprocess.Popen[str]) -> Iterator[str]:
    """Lines as they come, each within the time limit."""
    assert process.stdout is not None
    begun = b""
    while True:
        assert select.select([process.stdout], [], [], ENOUGH_SECONDS)[0], "nothing came"
        piece = os.read(process.stdout.fileno(), 65536)
        if not piece:
            return
        *whole, begun = (begun + piece).split(b"\n")
        yield from (line.decode() for line in whole)


@contextmanager
def following(cli: Cli, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A process that shows events as they come, ended at the end."""
    with cli.start("events", "--follow", *options) as process:
        try:
            yield process
        finally:
            process.kill()


def test_version_and_help(cli: Cli) -> None:
    assert cli.ok("--version").startswith("claude-headspace ")
    assert "exit statuses:" in cli.ok("--help")


def test_events_are_shown_newest_last(cli: Cli) -> None:
    for text in ("first", "second\nline", "third"):
        add_turn(cli, text)
    shown = cli.ok("events", "--limit", "2", "--session", "6f1d", "--project", "app").splitlines()
    assert [line.split("6f1d0a7e  app  ")[1] for line in shown] == [
        "user: second line",
        "user: third",
    ]
    assert cli.ok("events", "--type", "session_ended") == ""
    assert cli.ok("events", "--since", "2999-01-01") == ""
    assert cli.ok("events", "--since", "1h", "--limit", "all").count("\n") == 3


def test_json_is_whole(cli: Cli) -> None:
    text = "\x1b[31m" + "long " * 1000
    add_turn(cli, text)
    event = json.loads(cli.ok("events", "--json"))
    assert event["payload"] == {"actor": "user", "text": text}
    assert (event["session_uuid"], event["project"]) == (SESSION, "/home/me/app")
    assert event["timestamp"].endswith("+00:00")


def test_a_terminal_gets_short_harmless_lines(cli: Cli) -> None:
    add_turn(cli, "\x1b]0;owned\x07" + "漢字" * 100)
    zone, line = on_a_terminal(cli, "events", columns=100).decode().splitlines(keepends=True)
    assert "times in UTC" in zone
    assert "\x1b" not in line
    assert "\x07" not in line
    assert line.endswith("…\r\n")
    assert r"user: \x1b]0;owned\x07" in line
    assert sum(2 if character in "漢字" else 1 for character in line[:-2]) in (99, 100)


def test_following_shows_what_comes_and_ends_quietly(cli: Cli) -> None:
    add_turn(cli, "before")
    with following(cli, "--json", "--type", "turn_detected") as process:
        lines = lines_of(process)
        assert json.loads(next(lines))["payload"]["text"] == "before"
        for number in range(20):
            add_turn(cli, str(number))
            assert json.loads(next(lines))["payload"]["text"] == str(number)
        process.send_signal(signal.SIGINT)
        told, complaint = process.communicate(timeout=ENOUGH_SECONDS)
    assert (process.returncode, told, complaint) == (-signal.SIGINT, "", "")


@pytest.mark.parametrize("lost", ["true", "{} = 'claude-headspace events'", "{} = ''"])
def test_following_survives_lost_connections(cli: Cli, lost: str) -> None:
    """Both of them, the one that waits, or the one that is asked what came."""
    with following(cli, "--json") as process:
        lines = lines_of(process)
        for text in ("zero", "one"):  # when the second is shown, both connections have been used
            add_turn(cli, text)
            assert json.loads(next(lines))["payload"]["text"] == text
        ended = execute(
            cli,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE"
            " datname = current_database() AND pid <> pg_backend_pid()"
            f" AND backend_type = 'client backend' AND {lost.format('application_name')}",
        )
        assert ended
        for text in ("two", "three"):
            add_turn(cli, text)
            assert json.loads(next(lines))["payload"]["text"] == text
        process.send_signal(signal.SIGINT)
        told, complaint = process.communicate(timeout=ENOUGH_SECONDS)
    assert told == ""
    assert complaint.count("\n") == 1
    assert "waiting: " in complaint


def test_following_shows_what_is_asked_for_in_the_order_of_ids(cli: Cli) -> None:
    for text in ("a", "b", "c"):
        add_turn(cli, text)
    options = ("--session", "6f1d", "--type", "turn_detected", "--limit", "2", "--json")
    with following(cli, *options) as process:
        lines = lines_of(process)
        shown = [json.loads(next(lines)) for _ in range(2)]
        # More than a page of it, mixed with another session's and another type's, times backwards.
        execute(
            cli,
            "INSERT INTO events (timestamp, event_type, payload, session_uuid, event_key, agent_id)"
            " SELECT now() - n * interval '1 s',"
            " CASE mod(n, 3) WHEN 0 THEN 'session_ended' ELSE 'turn_detected' END, %s,"
            " CASE mod(n, 3) WHEN 1 THEN %s ELSE gen_random_uuid()::text END::uuid,"
            " gen_random_uuid(),"
            " CASE mod(n, 3) WHEN 2 THEN NULL ELSE (SELECT id FROM agents) END"
            " FROM generate_series(1, 3000) n",
            (json.dumps({"text": ""}), SESSION),
        )
        add_turn(cli, "last")
        while shown[-1]["payload"]["text"] != "last":
            shown.append(json.loads(next(lines)))
    assert [event["payload"]["text"] for event in shown] == ["b", "c", *[""] * 1000, "last"]
    wanted = execute(
        cli,
        "SELECT id FROM events WHERE id > 1 AND event_type = 'turn_detected'"
        " AND agent_id IS NOT NULL ORDER BY id",
    )
    assert [(event["id"],) for event in shown] == wanted


def test_following_ends_when_its_reader_is_gone(cli: Cli) -> None:
    add_turn(cli, "the only one")
    with following(cli) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert "the only one" in next(lines_of(process))
        process.stdout.close()
        assert process.wait(ENOUGH_SECONDS) == 141
        assert process.stderr.read() == ""


def test_following_says_that_the_log_was_set_back(cli: Cli) -> None:
    add_turn(cli, "before")
    with following(cli) as process:
        next(lines_of(process))
        execute(cli, "SELECT setval('events_id_seq', 1, false)")
        _, complaint = process.communicate(timeout=ENOUGH_SECONDS)
    assert process.returncode == 65
    assert "it was reset" in complaint


def test_a_reader_that_goes_away_is_no_error(cli: Cli) -> None:
    for _ in range(20):
        add_turn(cli, "x" * 10_000)
    process = cli.start("events", "--limit", "all", "--json")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(ENOUGH_SECONDS) == 141
    assert process.stderr.read() == ""
    process.stderr.close()


def test_sessions_count_a_shared_turn_once(cli: Cli) -> None:
    shared, other = uuid4(), str(uuid4())
    for session in (SESSION, other):
        add_turn(cli, "shared", session, shared)
    add_turn(cli, "own", other)
    shown = cli.ok("sessions").splitlines()
    assert shown[-1] == "2 sessions, 2 turns"
    assert [line.split()[-3:] for line in shown[1:-1]] == [
        ["2", "/home/me/app", "shared"],
        ["1", "/home/me/app", "shared"],
    ]
    execute(cli, "UPDATE agents SET ended_at = now(), end_reason = 'closed' WHERE id = 1")
    assert len(cli.ok("sessions", "--open").splitlines()) == 3
    ended = json.loads(cli.ok("sessions", "--json").splitlines()[1])
    assert (ended["session_uuid"], ended["end_reason"], ended["turns"]) == (SESSION, "closed", 1)


def test_sessions_are_called_by_their_titles(cli: Cli) -> None:
    titles = {"agent-name": "d", "summary": "c", "ai-title": "b", "custom-title": "a"}
    for number in range(5):
        session = str(uuid4())
        add_turn(cli, "first \x1b[2J prompt " + "x" * 1000, session)
        add_turn(cli, "second prompt", session)
        given = json.dumps(dict(list(titles.items())[:number]))
        execute(cli, "UPDATE agents SET titles = %s WHERE session_uuid = %s", (given, session))
    told = [json.loads(line)["title"] for line in cli.ok("sessions", "--json").splitlines()]
    assert told[:-1] == ["a", "b", "c", "d"]
    assert told[-1] == "first \x1b[2J prompt…"
    shown = on_a_terminal(cli, "sessions", columns=100, env={"NO_COLOR": "1"}).decode().splitlines()
    assert [line.split("/home/me/app")[1].strip() for line in shown[1:-2]] == told[:-1]
    assert shown[-2].endswith("first \\x1b[2J prompt…")


def test_registering(cli: Cli) -> None:
    def asked() -> tuple[Any, ...]:
        columns = "wanted, generation, project_path, working_directory, iterm_pane_id"
        return execute(cli, f"SELECT {columns} FROM registrations")[0]

    options = ("--project", ".", "--directory", "/w", "--iterm-pane-id", "w0t0p0")
    assert cli.ok("register", SESSION, *options) == f"{SESSION} is registered.\n"
    assert asked() == (True, 1, str(cli.directory), "/w", "w0t0p0")
    assert "already" in cli.ok("register", SESSION)
    assert asked() == (True, 1, str(cli.directory), "/w", "w0t0p0")
    assert cli.ok("unregister", SESSION) == f"{SESSION} is unregistered.\n"
    assert asked() == (False, 2, str(cli.directory), "/w", "w0t0p0")


def test_names_that_the_log_does_not_know(cli: Cli) -> None:
    assert "has no session" in cli.fails(66, "register", "abc")
    assert "has no project" in cli.fails(66, "events", "--project", "nothing")
    assert "is not a session" in cli.fails(66, "events", "--session", "what?")


def test_a_database_that_is_away(cli: Cli) -> None:
    away = {"DATABASE_URL": NOWHERE}
    for command in (["events"], ["sessions"], ["rejected"], ["register", SESSION]):
        assert "127.0.0.1" in cli.fails(69, *command, env=away)
    shown = cli.run("events", "--debug", env=away)
    assert "Traceback" in shown.stderr


def test_a_database_without_the_schema(cli: Cli, empty_database_url: str) -> None:
    there = {"DATABASE_URL": empty_database_url}
    assert "claude-headspace migrate" in cli.fails(69, "events", env=there)
    ended = cli.run("migrate", "--database", empty_database_url, env={"DATABASE_URL": NOWHERE})
    assert ended.returncode == 0, ended.stderr
    assert cli.ok("events", env=there) == ""


def test_migrate_waits_for_the_database(cli: Cli, postgres_server: PostgresServer) -> None:
    name = f"late_{uuid4().hex}"
    url = postgres_server.url(name)
    assert "does not exist" in cli.fails(69, "migrate", "--no-wait", "--database", url)
    process = cli.start("migrate", "--database", url)
    try:
        assert process.stderr is not None
        assert "waiting: " in process.stderr.readline()
        postgres_server.execute(f"CREATE DATABASE {name}")
        process.communicate(timeout=ENOUGH_SECONDS)
    finally:
        process.kill()
    assert process.returncode == 0
    assert cli.ok("events", env={"DATABASE_URL": url}) == ""
    postgres_server.execute(f"DROP DATABASE {name}")


def test_status_says_what_is_wrong_and_what_was_captured(cli: Cli) -> None:
    add_turn(cli, "x")
    ended = cli.run("status")
    assert (ended.returncode, ended.stderr) == (2, "")
    assert ended.stdout.startswith("down\n  supervisord is not running")
    assert "captured: 1 event\n  turn_detected  1\nturns:    1 distinct" in ended.stdout
    told = json.loads(cli.run("status", "--json").stdout)
    assert (told["status"], told["captured"]["events"]["turns"]) == ("down", 1)


def test_status_tells_of_what_is_new_to_this_version(cli: Cli) -> None:
    assert "machines:" not in cli.run("status").stdout
    other = '{"other": {"user/machine:peer": 5, "user/machine:moon": 2, "progress": 9}}'
    more = '{"other": {"attachment/machine:moon": 1, "user/machine:sun": 4}}'
    for path, counts, rules in (("/a", other, 1), ("/b", more, RULES), ("/c", "{}", RULES)):
        execute(
            cli,
            "INSERT INTO checkpoints (machine, path, counts, rules)"
            " VALUES (md5('h')::uuid, %s, %s, %s)",
            (path, counts, rules),
        )
    shown = cli.run("status").stdout
    assert "messages: kinds that this version does not know: moon 3, sun 4" in shown
    assert "rules:    1 file read by older rules" in shown
    told = json.loads(cli.run("status", "--json").stdout)["captured"]
    assert (told["unknown_programs"], told["older_rules"]) == ({"moon": 3, "sun": 4}, 1)
    execute(cli, "UPDATE checkpoints SET rules = %s", (RULES,))
    assert "rules:" not in cli.run("status").stdout


def test_status_without_a_database(cli: Cli) -> None:
    ended = cli.run("status", env={"DATABASE_URL": NOWHERE})
    assert (ended.returncode, ended.stderr) == (2, "")
    assert "captured: unknown" in ended.stdout
    told = json.loads(cli.run("status", "--json", env={"DATABASE_URL": NOWHERE}).stdout)
    assert told["captured"] is None


def test_rejected(cli: Cli) -> None:
    assert cli.ok("rejected") == "Nothing was rejected.\n"
    execute(
        cli,
        "INSERT INTO checkpoints (machine, path) VALUES (md5('h')::uuid, '/f.jsonl');"
        "INSERT INTO dead_letters (source_id, source_offset, reason, detail, content, resolved_at)"
        " VALUES (1, 7, 'torn', 'no end', %s, NULL), (1, 8, 'old', '', '', now())",
        (b"\x1b\xff{" + b"y" * 1000,),
    )
    shown = cli.ok("rejected").splitlines()
    assert shown[0].endswith("torn: no end")
    assert shown[1] == "  at byte 7 of /f.jsonl"
    assert shown[2].startswith(r"  1003 bytes: \x1b\xff{yyy")
    assert shown[2].endswith("y…")
    assert len(cli.ok("rejected", "--all").splitlines()) == 6
    assert json.loads(cli.ok("rejected", "--json"))["content"].endswith("y" * 1000)


def test_restarts(cli: Cli) -> None:
    assert cli.ok("restarts", env={"DATABASE_URL": NOWHERE}).startswith("The watcher has never")
    record = {
        "at": 1e9, "reason": "signal 9", "outcome": "restarted", "attempt": 1, "limit": 5,
        "window_seconds": 60.0,
    }  # fmt: skip
    lines = [json.dumps({**record, "at": 1e9 + number}) for number in range(3)]
    (cli.state / "restarts.jsonl").write_text("\n".join(lines) + "\n")
    assert cli.ok("restarts").count("signal 9") == 3
    shown = cli.ok("restarts", "--limit", "1", "--json")
    assert json.loads(shown)["at"] == 1e9 + 2


def test_the_configuration_and_its_mistakes(cli: Cli) -> None:
    secret = {"DATABASE_URL": "postgresql://me:secret@h/db"}
    shown = cli.ok("check-config", env=secret)
    assert "postgresql://me:***@h/db" in shown
    assert cli.ok("database-url", env=secret) == "postgresql://me:secret@h/db\n"
    wrong = {"CLAUDE_HEADSPACE__WEB__PORT": "x", "CLAUDE_HEADSPACE__NO__SUCH": "1"}
    ended = cli.run("events", env=wrong)
    assert (ended.returncode, ended.stdout) == (78, "")
    assert ended.stderr.splitlines()[0] == "claude-headspace: the configuration has mistakes"
    assert "web.port" in ended.stderr
    assert "CLAUDE_HEADSPACE__NO__SUCH" in ended.stderr


@pytest.mark.skipif(shutil.which("psql") is None, reason="there is no psql on this machine")
def test_psql(cli: Cli) -> None:
    assert cli.ok("psql", "-At", "-c", "SELECT count(*) FROM events") == "0\n"
    ended = cli.run("psql", "-v", "ON_ERROR_STOP=1", "-c", "nonsense")
    assert (ended.returncode, "syntax error" in ended.stderr) == (1, True)


def test_psql_of_the_embedded_server(
    cli: Cli, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    nothing = tmp_path / "empty"
    nothing.mkdir()
    environment = {
        "PATH": str(nothing),
        "CLAUDE_HEADSPACE__STATE__DIRECTORY": str(postgres_server.state),
        "DATABASE_URL": "",
    }
    statement = "SELECT current_user || 1"
    url = {**environment, "DATABASE_URL": postgres_server.url("postgres")}
    assert cli.ok("psql", "-Atc", statement, env=url) == "headspace1\n"
    assert postgres_server.record.url in cli.ok("database-url", env=environment)
    without = {"PATH": str(nothing)}
    assert "psql was not found" in cli.fails(1, "psql", env=without)


def test_psql_puts_no_secret_on_a_command_line(cli: Cli, tmp_path: Path) -> None:
    client = tmp_path / "bin" / "psql"
    client.parent.mkdir()
    client.write_text('#!/bin/sh\necho "$@"; echo "in the environment: $PGPASSWORD"\n')
    client.chmod(0o755)
    environment = {
        "PATH": f"{client.parent}:{os.environ['PATH']}",
        "DATABASE_URL": "postgresql://me:hush@h/db?sslmode=require&sslpassword=secret",
    }
    arguments, environ = cli.ok("psql", "-l", env=environment).splitlines()
    assert arguments.endswith(" -l")
    assert "sslmode=require" in arguments
    assert "hush" not in arguments
    assert "secret" not in arguments
    assert environ == "in the environment: hush"


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Tokyo"])
def test_times_at_the_edge_of_the_calendar(cli: Cli, database_url: str, zone: str) -> None:
    connection = psycopg2.connect(database_url)
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO projects (machine, path) VALUES (md5('h')::uuid, '/edge');"
            "INSERT INTO agents (session_uuid, project_id, working_directory, started_at,"
            f" last_seen_at) VALUES ('{SESSION}', 1, '/edge', '0001-01-01T00:00:00Z',"
            " '9999-12-31T23:59:59Z');"
            "INSERT INTO events (timestamp, event_type, payload, project_id, agent_id,"
            " session_uuid, event_key)"
            f" SELECT moment, 'turn_detected', '{{}}', 1, 1, '{SESSION}', gen_random_uuid()"
            " FROM unnest(ARRAY['0001-01-01T00:00:00Z', '9999-12-31T23:59:59Z']::timestamptz[])"
            " AS moment"
        )
    connection.close()
    there = {"TZ": zone, "PGTZ": zone}
    shown = cli.ok("events", "--project", "edge", env=there).splitlines()
    assert [line[:4] for line in shown] == ["0001", "9999"]
    assert "1 session, 2 turns" in cli.ok("sessions", "--project", "edge", env=there)
    whole = cli.ok("events", "--json", env=there).splitlines()
    assert json.loads(whole[1])["timestamp"] == "9999-12-31T23:59:59+00:00"


def test_emit_leaves_an_event(cli: Cli) -> None:
    payload = json.dumps({"session_uuid": SESSION, "reason": "closed"})
    away = {"DATABASE_URL": NOWHERE}
    identity = cli.ok("emit", "session_ended", "--payload", payload, env=away).strip()
    options = ("--id", SESSION, "--timestamp", "2026-01-01T00:00:00Z")
    given = cli.ok("emit", "session_ended", "--payload", "-", *options, given=payload).strip()
    first, second = map(read_message, list_messages(cli.state / "inbox"))
    assert (first.id, first.payload) == (identity, json.loads(payload))
    assert (second.id, second.timestamp.isoformat()) == (given, "2026-01-01T00:00:00+00:00")
    assert given == SESSION


@pytest.mark.parametrize(
    ("kind", "payload", "told"),
    [
        ("nothing", "{}", "not a known event type"),
        ("session_ended", "{", "is not JSON"),
        ("session_ended", "[]", "must be a JSON object"),
        ("session_ended", '{"session_uuid": "x", "reason": "tired"}', "payload.reason"),
    ],
)
def test_emit_refuses_what_the_log_would(cli: Cli, kind: str, payload: str, told: str) -> None:
    assert told in cli.fails(65, "emit", kind, "--payload", payload)
    assert list_messages(cli.state / "inbox") == []


def test_hook_is_silent_whatever_happens(cli: Cli) -> None:
    hook = {"session_id": SESSION, "cwd": "/w", "hook_event_name": "Stop"}
    assert cli.ok("hook", given=json.dumps(hook)) == ""
    inbox = cli.directory / "another"
    assert cli.ok("hook", "--inbox", str(inbox), given=json.dumps(hook)) == ""
    for place in (cli.state / "inbox", inbox):
        (path,) = list_messages(place)
        assert read_message(path).payload["hook_type"] == "Stop"
    assert cli.ok("hook", given="{") == ""
    assert cli.ok("hook", "--nonsense") == ""
    assert cli.ok("hook", env={"CLAUDE_HEADSPACE__WEB__PORT": "x"}) == ""
    assert "Claude Code" in cli.ok("hook", "--help")


def test_hooks_are_installed_shown_and_removed(cli: Cli) -> None:
    settings = cli.directory / "settings.json"
    settings.write_text('{"model": "m"}\n')
    options = ("--settings", str(settings), "--claude-version", "2.1.240")
    assert "were not written" in cli.ok("hooks", "install", "--dry-run", *options)
    assert settings.read_text() == '{"model": "m"}\n'
    shown = cli.ok("hooks", "install", *options)
    assert "+      " in shown
    assert f"Changed {settings}." in shown
    assert json.loads(settings.read_text())["hooks"]["SessionEnd"]
    assert "needs no change" in cli.ok("hooks", "install", *options)
    execute(
        cli,
        "INSERT INTO events (timestamp, event_type, payload, session_uuid, event_key) VALUES"
        " ('2026-01-02T03:04:05Z', 'hook_received', '{\"hook_type\": \"Stop\"}', %s, %s)",
        (SESSION, SESSION),
    )
    shown = cli.ok("hooks", "status", *options)
    assert "2026-01-02T03:04:05" in shown
    assert f"Changed {settings}." in cli.ok("hooks", "remove", *options)
    assert json.loads(settings.read_text()) == {"model": "m"}
    ended = cli.run("hooks", "status", *options)
    assert (ended.returncode, "No hooks are configured" in ended.stdout) == (1, True)


def test_the_watcher_runs_in_the_foreground(cli: Cli) -> None:
    projects = cli.directory / "projects"
    projects.mkdir()
    there = {"CLAUDE_HEADSPACE__CLAUDE__PROJECTS_PATH": str(projects)}
    process = cli.start("watcher", env=there)
    killer = threading.Timer(ENOUGH_SECONDS, process.kill)
    killer.start()
    try:
        assert process.stderr is not None
        assert any("ready" in line for line in process.stderr)
        assert "another" in cli.run("watcher", env=there).stderr.lower()
        process.send_signal(signal.SIGINT)
        process.communicate()
    finally:
        killer.cancel()
        process.kill()
    assert process.returncode == 0


def test_hosts_and_what_is_of_one_of_them(cli: Cli) -> None:
    here, other = id_of_name("h"), id_of_name("other")
    (cli.directory / "var").mkdir(exist_ok=True)
    (cli.directory / "var" / "machine").write_text(here)
    add_turn(cli, "said here")
    execute(
        cli,
        "INSERT INTO machines (id, label, version, seen_at, backlog_bytes, behind_since)"
        " VALUES (%s, 'laptop', '1.0', '2026-01-02 00:00:09+00', 5, '2026-01-02 00:00:02+00'),"
        " (%s, 'server', NULL, NULL, 0, NULL)",
        (here, other),
    )
    first, second, third = cli.ok("hosts").splitlines()[1:]
    assert first.split()[:3] == [here[:8], "no", "1.0"]
    assert first.endswith("laptop *")
    assert "5 bytes" in first
    assert "7 s" in first
    assert "1 (1 open)" in first
    assert second.split()[:3] == [other[:8], "no", "-"]
    assert second.endswith("server")
    assert third == "2 machines, 0 alive"
    told = [json.loads(line) for line in cli.ok("hosts", "--json").splitlines()]
    assert [(each["machine"], each["here"], each["lag_seconds"]) for each in told] == [
        (here, True, 7), (other, False, 0),
    ]  # fmt: skip
    for name in ("laptop", here[:8]):
        assert "said here" in cli.ok("events", "--host", name)
    assert cli.ok("sessions", "--host", "laptop").splitlines()[-1] == "1 session, 1 turn"
    assert cli.ok("sessions", "--host", "server").splitlines()[-1] == "0 sessions, 0 turns"
    assert json.loads(cli.ok("events", "--json"))["host"] == "laptop"
    for command in ("events", "usage", "tools"):
        assert "no host named nobody" in cli.fails(66, command, "--host", "nobody")
