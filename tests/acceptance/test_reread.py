"""A log that was made by older rules is brought right, whenever the watcher is killed."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

import lines
from archived import assert_archived
from claude_headspace.store.engine import reading
from claude_headspace.store.follower import Follower
from claude_headspace.store.queries import EventFilter, newest_events
from claude_headspace.store.totals import captured
from claude_headspace.transcripts.checkpoint import RULES
from harness import Log, Projects, Watcher, assert_exactly_captured, wait_until

SESSION = "11111111-2222-4333-8444-555555555555"
WORKTREE = "/home/u/app/.claude/worktrees/fix"
COUNTED = """
    SELECT e.session_uuid::text, event_key::text, payload, p.path, source_id, source_offset
    FROM events e JOIN projects p ON p.id = project_id WHERE retracted_at IS NULL ORDER BY 1, 2
"""
COUNTS = "SELECT counts, state, rules, reread_bytes, reread_state FROM checkpoints ORDER BY id"
# What the program of before made of the same lines: no prompts of queues and attachments, none of
# the terminal's commands, other words, machines' messages as turns, other projects.
BEFORE = """
    DELETE FROM events WHERE payload->>'prompt_source' = 'queued'
        OR payload->>'text' IN ('/costs', 'with a picture');
    UPDATE events SET payload = payload - 'parent_uuid' - 'prompt_source' - 'entrypoint';
    UPDATE events SET payload = jsonb_set(payload, '{text}', '"cut"')
        WHERE payload->>'text' LIKE 'why <system-reminder>%%';
    INSERT INTO events (timestamp, event_type, payload, session_uuid, event_key, project_id,
        agent_id, source_id, source_offset)
        SELECT timestamp, event_type, payload || '{"text": "a machine speaks", "actor": "user"}',
            session_uuid, %s, project_id, agent_id, source_id, 1
        FROM events WHERE payload->>'text' = 'Well.';
    INSERT INTO projects (machine, path) SELECT machine, %s FROM projects LIMIT 1;
    UPDATE agents SET project_id = p.id, project_seen_at = NULL, titles = '{}'
        FROM projects p WHERE p.path = agents.working_directory;
    UPDATE events SET project_id = a.project_id FROM agents a WHERE a.id = agent_id;
    UPDATE events SET payload = jsonb_set(payload, '{project_path}', payload->'working_directory')
        WHERE event_type = 'session_registered';
    INSERT INTO dead_letters (source_id, source_offset, reason, detail, content)
        SELECT id, %s, 'too_long', 'too long', '' FROM checkpoints
        WHERE path LIKE %s;
    UPDATE checkpoints SET rules = 1, state = '', counts = '{"lines": 1, "turns": 7,
        "rejected": {"too_long": 1}}'
"""


class OldLog:
    """A history, the log that is right for it, and that log as older rules would have left it."""

    def __init__(self, projects: Projects, log: Log) -> None:
        self.log = log
        self.path = projects.path(SESSION, WORKTREE)
        machine = lines.user(SESSION, "a machine speaks", origin={"kind": "peer"})
        self.machine = machine["uuid"]
        before = self._talk(60)
        self.first = before[0]["uuid"]
        head = before + self._of_today(machine)
        self.picture_at = len(lines.joined(*head))
        picture = {"type": "image", "source": {"type": "base64", "data": "A" * 100_000}}
        said = lines.user(SESSION, [picture, lines.text("with a picture")], cwd=WORKTREE)
        projects.append(self.path, lines.joined(*head, said, *self._talk(60)))
        projects.fill(sessions=2, turns=20)

    def _talk(self, turns: int) -> list[lines.Record]:
        return [
            make(SESSION, f"said {number} " + "x" * 1500, at=number, cwd=WORKTREE)
            for number in range(turns)
            for make in (lines.user, lines.assistant)
        ]

    def _of_today(self, machine: lines.Record) -> list[lines.Record]:
        # So much between them that a prompt is open where a step of the reading ends.
        work = [lines.user(SESSION, [lines.tool_result("x" * 20_000)]) for _ in range(2)]
        return [
            lines.attachment(SESSION, "typed meanwhile", at=1),
            lines.queue(SESSION, "enqueue", content="typed as well", at=2),
            *work,
            lines.queue(SESSION, "remove", at=3),
            *work,
            lines.assistant(SESSION, "Well.", at=4, cwd=WORKTREE),
            lines.local_command(SESSION, "<command-name>/costs</command-name>", at=5),
            lines.user(SESSION, "why <system-reminder>?</system-reminder>", promptSource="typed"),
            machine,
            {"type": "custom-title", "customTitle": "A day", "sessionId": SESSION},
            {"type": "custom-title", "customTitle": "My day", "sessionId": SESSION},
            {"type": "summary", "summary": "In short", "leafUuid": machine["uuid"]},
            {"type": "summary", "summary": "In short", "leafUuid": self.first},
        ]

    def make(self, watcher: Watcher, projects: Projects) -> None:
        """Capture it, note what is right, and make it what it was."""
        with watcher.running():
            assert_exactly_captured(projects, self.log)
            assert_archived(self.log, projects.root)
        self.right, self.counts = self.log.rows(COUNTED), self.log.rows(COUNTS)
        values = (self.machine, WORKTREE, self.picture_at, f"%{SESSION}%")
        self.log.rows(BEFORE, values)
        assert self.log.rows(COUNTED) != self.right

    def is_read_again(self) -> bool:
        return bool(self.log.value(f"SELECT count(*) = 0 FROM checkpoints WHERE rules < {RULES}"))

    def check(self) -> None:
        assert self.log.rows(COUNTED) == self.right
        assert self.log.rows(COUNTS) == self.counts
        assert self.log.rows("SELECT titles FROM agents WHERE titles <> '{}'") == [
            ({"custom-title": "My day", "summary": "In short"},)
        ]
        assert self.log.rows("SELECT resolved_at IS NOT NULL FROM dead_letters") == [(True,)]
        assert self.log.rows(
            "SELECT event_key::text FROM events WHERE retracted_at IS NOT NULL"
        ) == [(self.machine,)]


@pytest.fixture
def old(projects: Projects, log: Log, watcher: Watcher) -> OldLog:
    watcher.settings["FILE_WATCHER__MAX_LINE_BYTES"] = 50_000
    made = OldLog(projects, log)
    made.make(watcher, projects)
    return made


def test_it_is_brought_right_and_nothing_is_done_twice(
    old: OldLog, log: Log, watcher: Watcher
) -> None:
    with watcher.running():
        wait_until(old.is_read_again, "all is read again")
    old.check()
    added = log.rows("SELECT payload->>'text' FROM events WHERE annotations ? 'rules' ORDER BY 1")
    assert added == [("/costs",), ("typed as well",), ("typed meanwhile",), ("with a picture",)]
    revised = "SELECT annotations->'revised' FROM events WHERE payload->>'text' LIKE 'why%%'"
    assert log.value(revised) == {"rules": RULES, "text": "cut"}
    before = log.fingerprint()
    log.rows("UPDATE checkpoints SET rules = 1, state = ''")
    with watcher.running():
        wait_until(old.is_read_again, "all is read once more")
    assert log.fingerprint() == before
    old.check()
    assert "Traceback" not in watcher.told()


def test_from_the_archive_when_the_files_are_gone(
    old: OldLog, log: Log, watcher: Watcher, projects: Projects
) -> None:
    for path in projects.root.rglob("*.jsonl"):
        path.unlink()
    with watcher.running():
        wait_until(old.is_read_again, "all is read again")
    old.check()


def test_killed_on_the_way(old: OldLog, log: Log, watcher: Watcher) -> None:
    def places() -> list[tuple[Any, ...]]:
        return log.rows("SELECT rules, reread_bytes FROM checkpoints ORDER BY id")

    def moved_from(before: list[tuple[Any, ...]]) -> Callable[[], bool]:
        return lambda: places() != before

    kills = 0
    while kills < 5 and not old.is_read_again():
        before = places()
        watcher.start()
        wait_until(moved_from(before), "progress")
        watcher.kill()
        kills += 1
    assert kills == 5
    with watcher.running():
        wait_until(old.is_read_again, "the rest")
    old.check()


def test_lines_are_captured_meanwhile(
    old: OldLog, projects: Projects, log: Log, watcher: Watcher
) -> None:
    other, dice = lines.new_session(), random.Random(1)
    said: list[str] = []
    with watcher.running():
        watcher.wait_ready()
        while not old.is_read_again():
            said.append(f"live {len(said)}")
            session = dice.choice([SESSION, other])
            path = old.path if session == SESSION else projects.path(other)
            projects.append(path, lines.joined(lines.user(session, said[-1], cwd=WORKTREE)))
            wait_until(lambda: said[-1] in log.texts(SESSION) + log.texts(other), "the line", 10)
        found = log.texts(SESSION) + log.texts(other)
    assert sorted(text for text in found if text.startswith("live")) == sorted(said)
    counted = {(turn.session, turn.uuid): turn for turn in log.turns()}
    assert counted == projects.turns()
    assert log.value("SELECT sum((counts->>'duplicates')::int) FROM checkpoints") == 0


def test_what_is_retracted_is_nowhere(old: OldLog, log: Log, watcher: Watcher) -> None:
    with watcher.running():
        wait_until(old.is_read_again, "all is read again")
    counted = log.value("SELECT count(*) FROM events WHERE retracted_at IS NULL")
    with reading(log.url) as connection:
        page = connection.execute(newest_events(EventFilter(), None)).mappings().all()
        total = captured(connection)
    follower = Follower.at(log.url)
    followed: list[str] = []
    while events := follower.read().events:
        followed += [str(event.key) for event in events]
    follower.close()
    assert len(page) == len(followed) == sum(total.events.by_type.values()) == counted
    assert old.machine not in followed
    assert total.events.turns == log.count("turn_detected")
