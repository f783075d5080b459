from __future__ import annotations

import json

import pytest

import lines
from archived import SESSION, archived_bytes, assert_archived, command, history
from claude_headspace.inbox import put
from harness import Log, Projects, Watcher, wait_until

# Every row of every table in which the session may be named, but those that say it was forgotten.
STAYS = {"registrations", "registration_hosts", "tombstones", "checkpoints"}


def traces(log: Log, session: str) -> dict[str, int]:
    """The tables in which a session is named, and how often."""
    found = {}
    for table in tables(log):
        count = log.value(
            f"SELECT count(*) FROM {table} t WHERE t::text LIKE %s", (f"%{session}%",)
        )
        if count and table not in STAYS:
            found[table] = count
    return found


def tables(log: Log) -> list[str]:
    """The names of all tables."""
    relations = "SELECT relname FROM pg_class WHERE relkind = 'r'"
    rows = log.rows(f"{relations} AND relnamespace = 'public'::regnamespace")
    return [row[0] for row in rows]


def tables_with(log: Log, secret: str) -> list[str]:
    """The tables that hold the secret, as text, as words, or as bytes."""
    spelt = [f"%{each}%" for each in (secret, secret.lower()[-40:], secret.encode().hex())]
    count = "SELECT count(*) FROM {} t WHERE t::text LIKE ANY (%s)"
    return [table for table in tables(log) if log.value(count.format(table), (spelt,))]


@pytest.fixture
def other(projects: Projects) -> str:
    """Another session, that stays."""
    session = lines.new_session()
    projects.say(session, "I stay", cwd="/home/u/other")
    return session


def test_nothing_comes_back(projects: Projects, watcher: Watcher, log: Log, other: str) -> None:
    path = history(projects)
    projects.append(path, b"\n" + lines.raw({"broken": 1})[:-1] + b"\n")
    projects.append(path, lines.joined(lines.assistant(SESSION, [lines.tool_use()], at=9)))
    put(watcher.state / "inbox", "hook_received", {
        "hook_type": "PostToolUse", "claude_session_id": SESSION, "working_directory": "/home/u/x",
    })  # fmt: skip
    with watcher.running():
        assert_archived(log, projects.root)
        wait_until(lambda: log.count("hook_received") == 1, "the hook")
        told = command(watcher, "forget", SESSION)
        assert (told.returncode, "that would be deleted" in told.stdout) == (0, True)
        assert traces(log, SESSION)
        done = command(watcher, "forget", SESSION, "--yes")
        assert (done.returncode, done.stderr) == (0, "")
        assert traces(log, SESSION) == {}
        assert not [p for p in (watcher.state / "inbox").rglob("*.json") if "hook" in p.read_text()]
        projects.say(SESSION, "and again", at=99)
        stays = projects.say(other, "as ever", at=99)
        wait_until(lambda: log.texts(other) == ["I stay", "as ever"], "the other goes on")
        wait_until(lambda: archived_bytes(log, str(stays)) == stays.read_bytes(), "archived")
        found = command(watcher, "verify").stdout
        assert ("\ncomplete: " in found, "not archived" in found) == (True, False), found
    source = log.value("SELECT id FROM checkpoints WHERE path = %s", (str(path),))
    assert archived_bytes(log, str(path)) == b""
    assert log.rows("SELECT FROM dead_letters WHERE source_id = %s", (source,)) == []
    (watcher.state / "machine").rename(watcher.state / "first")
    with watcher.running():
        wait_until(lambda: log.value("SELECT count(*) FROM checkpoints") > 9, "all is read")
        assert command(watcher, "verify", "--repair", "--yes").returncode == 0
    (watcher.state / "first").rename(watcher.state / "machine")
    machine = (watcher.state / "machine").read_text().strip()
    log.rows("UPDATE checkpoints SET rules = 1")
    with watcher.running():
        older = "SELECT count(*) FROM checkpoints WHERE rules = 1 AND inode > 0 AND machine = %s"
        wait_until(lambda: log.value(older, (machine,)) == 0, "read again")
        assert command(watcher, "restore", SESSION, "--to", str(path.parent)).returncode == 1
        assert command(watcher, "rebuild").returncode == 0
    assert log.value("SELECT count(*) FROM tool_calls") == 0
    assert log.value("SELECT count(*) FROM dead_letters WHERE content LIKE '%broken%'") == 0
    assert traces(log, SESSION) == {}
    assert log.texts(other) == ["I stay", "as ever"]


def test_only_the_archive(projects: Projects, watcher: Watcher, log: Log, other: str) -> None:
    path = history(projects)
    with watcher.running():
        assert_archived(log, projects.root)
        turns = log.turns()
        assert command(watcher, "forget", SESSION, "--keep-turns", "--yes").returncode == 0
        projects.append(path, b"\n")
        projects.say(SESSION, "still captured", at=50)
        wait_until(lambda: len(log.turns()) == len(turns) + 1, "the next turn")
        stays = projects.say(other, "archived", at=60)
        wait_until(lambda: archived_bytes(log, str(stays)) == stays.read_bytes(), "the other's")
    assert set(traces(log, SESSION)) == {"agents", "events"}
    assert archived_bytes(log, str(path)) == b""


def test_by_project_and_by_age_and_back_by_register(
    projects: Projects, watcher: Watcher, log: Log, other: str
) -> None:
    projects.say(SESSION, "in the project", at=0)
    young = lines.new_session()
    projects.say(young, "of today", at=10_000_000, cwd="/home/u/third")
    with watcher.running():
        assert_archived(log, projects.root)
        assert command(watcher, "forget", "/home/u/app", "--yes").returncode == 0
        assert traces(log, SESSION) == {}
        assert log.rows("SELECT path FROM projects ORDER BY 1") == [
            ("/home/u/other",), ("/home/u/third",),
        ]  # fmt: skip
        assert command(watcher, "forget", "--before", "2025-08-01", "--yes").returncode == 0
        assert [turn.session for turn in log.turns()] == [young]
        assert command(watcher, "register", SESSION).returncode == 0
        wait_until(lambda: log.texts(SESSION) == ["in the project"], "it is back")
        wait_until(lambda: archived_bytes(log, str(projects.path(SESSION))), "its file too")


def test_secrets_that_are_stored_are_overwritten(
    projects: Projects, watcher: Watcher, log: Log
) -> None:
    secret = "sk-ant-" + "a1B2" * 10
    path = projects.say(SESSION, f"my key is {secret}", "fine")
    projects.append(path, f'{{"broken": "{secret}'.encode() + b"\n")
    call = {**lines.tool_use(), "input": {"command": f"export A='{secret}'", "file": "x" * 2000}}
    projects.append(path, lines.joined(lines.assistant(SESSION, [call], at=50)))
    projects.append(path, lines.joined(lines.queue(SESSION, "enqueue", at=60, content=secret)))
    for number in range(2000):
        projects.append(path, lines.joined(lines.user(SESSION, f"{number} {secret}", at=number)))
    with watcher.running():
        assert_archived(log, projects.root)
        log.rows(
            "UPDATE events SET annotations = jsonb_build_object('revised', jsonb_build_object("
            "'rules', 2, 'text', %s)) WHERE id = (SELECT min(id) FROM events)", (secret,),
        )  # fmt: skip
        log.rows(
            "INSERT INTO search_parts SELECT id, 0, 0, 1, true, to_tsvector('simple',"
            " payload ->> 'text'), timestamp FROM events WHERE event_type = 'turn_detected'"
        )
        assert len(tables_with(log, secret)) == 5
        assert command(watcher, "redact", "--existing").returncode == 0
        assert tables_with(log, secret) == []
        before = archived_bytes(log, str(path))
        assert len(before) == path.stat().st_size
        assert secret.encode() not in before
        assert [json.loads(line) for line in before.splitlines()[3:]]
        assert log.texts(SESSION)[0] == "my key is [redacted:anthropic_key]"
        assert not log.value("SELECT count(*) FROM dead_letters WHERE content LIKE '%%sk-ant%%'")
        assert command(watcher, "redact", "--existing").stdout == "changed: nothing\n"
        assert command(watcher, "verify").returncode == 0
    watcher.settings["PRIVACY__REDACT"] = True
    log.rows("UPDATE checkpoints SET generation = generation + 1")
    with watcher.running():
        latest = "SELECT max(archived) FROM archive_generations WHERE generation = 2 AND redacted"
        wait_until(lambda: log.value(latest) == len(before), "archived anew")
    assert archived_bytes(log, str(path)) == before
