"""Tool calls and tokens in the log are those in the transcripts, however often they are read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import lines
import spending
from archived import assert_archived, command
from harness import Log, Projects, Watcher, wait_until

CALLS = "SELECT * FROM tool_calls ORDER BY session_uuid, tool_use_id"
REPLIES = "SELECT * FROM model_calls ORDER BY message_id"
OWN, BRANCH, COPY = (lines.new_session() for _ in range(3))
SECRET = "sk-ant-" + "a1B2" * 8


def reply(session: str, message: str, *blocks: Any, output: int = 1, **more: Any) -> lines.Record:
    """One line of a reply, with its usage as far as it was known then."""
    record = lines.assistant(session, list(blocks), message_id=message, **more)
    record["message"]["usage"] = {
        "input_tokens": 3,
        "output_tokens": output,
        "cache_read_input_tokens": 1000,
        "cache_creation_input_tokens": 200,
        "cache_creation": {"ephemeral_1h_input_tokens": 50},
        "service_tier": "standard",
        "unheard_of": [{}],
    }
    return record


def call(name: str, tool: str = "Bash", **given: Any) -> lines.Record:
    return {"type": "tool_use", "id": name, "name": tool, "input": given}


def result(session: str, name: str, content: Any = "done", at: float = 0, **more: Any) -> Any:
    error = more.pop("is_error", None)
    block = {"type": "tool_result", "tool_use_id": name, "content": content, "is_error": error}
    return lines.user(session, [block], at=at, **more)


def a_session(session: str, prefix: str = "") -> list[lines.Record]:
    """One that does something of everything."""

    def m(number: int) -> str:
        return f"{prefix}msg_{number}"

    def t(number: int) -> str:
        return f"{prefix}toolu_{number}"

    denied = "The user doesn't want to proceed with this tool use."
    stopped = {"stdout": "x", "interrupted": True}
    return [
        lines.user(session, f"go on {prefix}"),
        reply(session, m(1), lines.thinking(), at=1),
        reply(session, m(1), lines.text(f"I look {prefix}"), at=2),
        reply(session, m(1), call(t(1), command="ls"), output=90, at=3),
        result(session, t(1), "total 0", at=5),
        reply(session, m(2), call(t(2), "Write", content="x" * 9000), call(t(3), "Read"), at=6),
        result(session, t(2), "no such file", is_error=True, at=7),
        result(session, t(3), [lines.text(denied)], is_error=True, at=8),
        reply(session, m(3), call(t(4)), call(t(5)), call(t(6)), output=7, at=9),
        result(session, t(4), "no", is_error=True, toolDenialKind="permission-rule", at=10),
        result(session, t(5), toolUseResult=stopped, at=11),
        reply(session, f"{prefix}notice", lines.text("Sorry"), model="<synthetic>", at=12),
        lines.assistant(session, f"free of charge {prefix}", message_id=m(9), at=13),
    ]


class Spent:
    """Transcripts, and what the log makes of them."""

    def __init__(self, projects: Projects, log: Log, watcher: Watcher) -> None:
        self.projects, self.log, self.watcher = projects, log, watcher

    def write(self, more: int = 0) -> None:
        """A session, a branch that says so, a copy that does not, a subagent, and some more."""
        add = self.projects.append
        own = a_session(OWN)
        add(self.projects.path(OWN), lines.joined(*own))
        forked = {"sessionId": BRANCH}
        branch = [
            {**line, **forked, "forkedFrom": {"sessionId": OWN, "messageUuid": line["uuid"]}}
            for line in own
        ]
        branch += [reply(BRANCH, "msg_b", call("toolu_b"), lines.text("branched"), at=20)]
        add(self.projects.path(BRANCH), lines.joined(*branch))
        copy = [{**line, "sessionId": COPY} for line in own]
        copy += [lines.user(COPY, "on", at=30), reply(COPY, "msg_c", lines.text("copied"), at=31)]
        add(self.projects.path(COPY), lines.joined(*copy))
        side: dict[str, Any] = {"isSidechain": True, "agentId": "a7", "at": 40}
        subagent = self.projects.path(OWN).with_suffix("") / "subagents" / "agent-a7.jsonl"
        said = reply(OWN, "msg_s", call("toolu_s", "Grep"), model="claude-haiku-4-5", **side)
        add(subagent, lines.joined(lines.user(OWN, "look", **side), said))
        for number in range(more):
            session = lines.new_session()
            records = [line for n in range(10) for line in a_session(session, f"{number}.{n}.")]
            add(self.projects.path(session), lines.joined(*records))

    def commit(self) -> None:
        """Wait until all is read, by the rules of today, and nobody's copies are in doubt."""
        files = {str(path): path.stat().st_size for path in self.projects.root.rglob("*.jsonl")}
        at = "SELECT path, CASE WHEN rules < 3 THEN 0 ELSE committed_offset END FROM checkpoints"
        wait_until(lambda: dict(self.log.rows(at)) == files, "all is read")
        due = "SELECT count(*) FROM agents WHERE copies = 'due'"
        wait_until(lambda: self.log.value(due) == 0, "copies are looked into")

    def rows(self) -> list[list[tuple[Any, ...]]]:
        return [self.log.rows(CALLS), self.log.rows(REPLIES)]

    def check(self) -> None:
        """The log's sums are those of the files."""
        names = "input_tokens, output_tokens, cache_read_tokens, cache_write_tokens"
        found = self.log.rows(f"SELECT model, replies, {names} FROM usage_by_model")
        assert {row[0]: row[1:] for row in found} == spending.tokens(self.projects.root)
        found = self.log.rows("SELECT tool, calls FROM tools_by_tool")
        assert dict(found) == spending.tools(self.projects.root)
        ended = self.log.value("SELECT count(*) FROM tool_calls WHERE outcome IS NOT NULL")
        assert ended == spending.answered(self.projects.root)

    def read_again(self, prepare: str) -> None:
        self.log.rows(prepare)
        with self.watcher.running():
            self.commit()


@pytest.fixture
def spent(projects: Projects, log: Log, watcher: Watcher) -> Spent:
    return Spent(projects, log, watcher)


def test_what_is_told_of_calls_and_replies(spent: Spent, log: Log) -> None:
    spent.write()
    with spent.watcher.running():
        spent.commit()
    spent.check()
    assert log.rows(
        "SELECT tool_use_id, outcome, extract(epoch FROM ended_at - started_at)::int"
        " FROM tool_calls WHERE session_uuid = %s ORDER BY 1", (OWN,)
    ) == [
        ("toolu_1", "ok", 2), ("toolu_2", "error", 1), ("toolu_3", "denied", 2),
        ("toolu_4", "denied", 1), ("toolu_5", "interrupted", 2), ("toolu_6", None, None),
        ("toolu_s", None, None),
    ]  # fmt: skip
    whole, cut = log.rows(
        "SELECT input, input_bytes, input_whole, result_bytes FROM tool_calls"
        " WHERE session_uuid = %s AND tool_use_id IN ('toolu_1', 'toolu_2') ORDER BY tool_use_id",
        (OWN,),
    )
    assert whole == ('{"command":"ls"}', 16, True, len('"total 0"'))
    assert cut[0].startswith('{"content":"xxx')
    assert len(cut[0]) == 1600
    assert cut[1:3] == (9000 + len('{"content":""}'), False)
    assert log.rows("SELECT message_id, subagent FROM model_calls WHERE session_uuid = %s"
                    " ORDER BY 1", (OWN,)) == [
        ("msg_1", None), ("msg_2", None), ("msg_3", None), ("msg_s", "a7")]  # fmt: skip
    assert log.rows("SELECT output_tokens, cache_write_1h_tokens, service_tier FROM model_calls"
                    " WHERE message_id = 'msg_1'") == [(90, 50, "standard")]  # fmt: skip


def test_calls_point_to_their_lines(spent: Spent, log: Log) -> None:
    spent.write()
    with spent.watcher.running():
        spent.commit()
    pointers = log.rows(
        "SELECT path, tool_use_id, call_offset, call_length, result_offset, result_length"
        " FROM tool_calls JOIN checkpoints s ON s.id = source_id"
    )
    assert len(pointers) == 20
    for path, name, *places in pointers:
        content = Path(path).read_bytes()
        for offset, length in (places[:2], places[2:]):
            if offset is not None:
                record = json.loads(content[offset : offset + length])
                assert name in json.dumps(record["message"])
                assert content[offset + length : offset + length + 1] == b"\n"


def test_copies_count_once_and_for_the_original(spent: Spent, log: Log) -> None:
    spent.write()
    with spent.watcher.running():
        spent.commit()
    replies = "SELECT array_agg(message_id) FROM model_calls WHERE session_uuid = %s"
    assert log.value(replies, (BRANCH,)) == ["msg_b"]
    assert log.value(replies, (COPY,)) == ["msg_c"]
    counted = "SELECT count(*) FROM tool_usage WHERE session_uuid = %s"
    assert [log.value(counted, (s,)) for s in (OWN, BRANCH, COPY)] == [7, 1, 0]


def test_read_again_they_are_the_same(spent: Spent, log: Log) -> None:
    spent.write()
    with spent.watcher.running():
        spent.commit()
    right = spent.rows()
    for prepare in (
        "UPDATE checkpoints SET rules = 2",
        "TRUNCATE tool_calls, model_calls; UPDATE checkpoints SET rules = 2",
        (
            "UPDATE checkpoints SET committed_offset = 0, checksum = 0, head = 0, tail = 0,"
            " counts = '{}', mtime_ns = NULL"
        ),
    ):
        spent.read_again(prepare)
        assert spent.rows() == right
    spent.check()


@pytest.mark.long
def test_killed_on_the_way(spent: Spent, log: Log) -> None:
    spent.write(more=30)
    kills = 0
    committed = "SELECT coalesce(sum(committed_offset), 0) FROM checkpoints"
    while kills < 6:
        before = log.value(committed)
        spent.watcher.start()
        wait_until(lambda before=before: log.value(committed) != before, "progress")  # type: ignore[misc]
        spent.watcher.kill()
        kills += 1
        if log.value(committed) == sum(
            p.stat().st_size for p in spent.projects.root.rglob("*.jsonl")
        ):
            log.rows("UPDATE checkpoints SET committed_offset = 0, checksum = 0, head = 0,"
                     " tail = 0 WHERE id % 2 = 0")  # fmt: skip
    with spent.watcher.running():
        spent.commit()
    spent.check()
    assert log.value("SELECT count(*) FROM model_calls") == 30 * 30 + 6


def test_sessions_that_are_not_captured_have_none(spent: Spent, log: Log) -> None:
    spent.watcher.settings["FILE_WATCHER__SESSIONS"] = "registered"
    log.register(BRANCH)
    spent.write()
    with spent.watcher.running():
        spent.commit()
    found = log.rows("SELECT DISTINCT session_uuid::text FROM tool_calls")
    assert found == log.rows("SELECT DISTINCT session_uuid::text FROM model_calls") == [(BRANCH,)]
    # What it repeats of a session that is not there counts all the same.
    assert log.value("SELECT count(*) FROM tool_usage") == 7


def test_secrets_are_taken_out_of_inputs(spent: Spent, log: Log) -> None:
    spent.watcher.settings["PRIVACY__REDACT"] = True
    session = lines.new_session()
    escaped = call("t1", command=f'export KEY="{SECRET}"\n')
    at_the_cut = call("t2", command="x" * 1580 + " " + SECRET)
    spent.projects.append(
        spent.projects.path(session), lines.joined(reply(session, "m1", escaped, at_the_cut))
    )
    with spent.watcher.running():
        spent.commit()
    for given, *_ in log.rows("SELECT input FROM tool_calls ORDER BY tool_use_id"):
        assert "sk-ant" not in given
    assert json.loads(log.value("SELECT input FROM tool_calls WHERE tool_use_id = 't1'")) == {
        "command": 'export KEY="[redacted:anthropic_key]"\n'
    }


def _asked(spent: Spent, *arguments: str, **settings: str) -> list[dict[str, Any]]:
    ran = subprocess.run(
        [sys.executable, "-m", "claude_headspace.cli", *arguments],
        env={**spent.watcher.environment(), **settings},
        capture_output=True, check=True, text=True, timeout=60,
    )  # fmt: skip
    if "--json" in arguments:
        return [json.loads(line) for line in ran.stdout.splitlines()]
    return [{"line": line} for line in ran.stdout.splitlines()]


def test_commands_show_them(spent: Spent, tmp_path: Path) -> None:
    spent.write()
    with spent.watcher.running():
        spent.commit()
    config = tmp_path / "config.yaml"
    prices = {"input": 1e6, "output": 1e6, "cache_read": 1e6, "cache_write": 0}
    config.write_text(json.dumps({"prices": {"claude-sonnet": {**prices, "cache_write_1h": 1e6}}}))
    priced = {"CLAUDE_HEADSPACE_CONFIG": str(config)}
    haiku, sonnet = _asked(spent, "usage", "--by", "total", "--json", **priced)
    assert (haiku["model"], haiku["replies"], haiku["cost"]) == ("claude-haiku-4-5", 1, None)
    assert sonnet["replies"] == 5
    assert sonnet["cost"] == 5 * (3 + 1000 + 50) + 90 + 1 + 7 + 1 + 1
    assert {row["day"] for row in _asked(spent, "usage", "--json")} == {"2025-06-01"}
    bash = next(r for r in _asked(spent, "tools", "--json") if r["tool"] == "Bash")
    assert (bash["calls"], bash["ok"], bash["denied"], bash["unanswered"]) == (5, 1, 1, 2)
    assert _asked(spent, "usage", "--since", "2026-01-01", "--json") == []
    table = [row["line"].split() for row in _asked(spent, "tools", "--project", "app")]
    assert table[0][:2] == ["calls", "ok"]
    assert ["5", "1", "0", "1", "1", "2", "1.7", "Bash"] in table


def test_rows_are_made_again_at_will(spent: Spent, log: Log) -> None:
    spent.write(more=1)
    rewritten = lines.new_session()
    path = spent.projects.path(rewritten)
    path.write_bytes(lines.joined(*a_session(rewritten, "before.")))
    with spent.watcher.running():
        spent.commit()
        assert_archived(log, spent.projects.root)
        path.write_bytes(lines.joined(*a_session(rewritten, "after.")))
        spent.commit()
        assert_archived(log, spent.projects.root)
        right = spent.rows()
        assert command(spent.watcher, "rebuild").returncode == 0
        assert spent.rows() == right
    branch = spent.projects.path(BRANCH)
    kept = branch.read_bytes()
    branch.unlink()
    log.rows(
        "DELETE FROM tool_calls WHERE tool_use_id LIKE '%%_2'; DELETE FROM model_calls"
        " WHERE message_id = 'msg_2'; UPDATE tool_calls SET outcome = NULL, tool = 'x';"
        " UPDATE model_calls SET output_tokens = output_tokens + 1000;"
        " UPDATE model_calls SET message_id = 'surplus' WHERE message_id = 'before.msg_2'"
    )
    for _ in range(2):
        done = command(spent.watcher, "rebuild")
        assert (done.returncode, done.stderr) == (0, "")
        assert spent.rows() == right
    branch.write_bytes(kept)
    path.write_bytes(b"")
    before = [row for row in right[0] if row[1].startswith("before.")]
    assert len(before) == 6


def test_what_can_no_longer_be_read_keeps_its_rows(spent: Spent, log: Log) -> None:
    spent.watcher.settings["ARCHIVE__ENABLED"] = False
    spent.write()
    with spent.watcher.running():
        spent.commit()
    right = spent.rows()
    spent.projects.path(OWN).unlink()
    done = command(spent.watcher, "rebuild")
    assert "neither on disk nor archived, rows unchanged: files 1" in done.stdout
    assert spent.rows() == right
