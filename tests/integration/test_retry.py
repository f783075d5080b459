"""Rejected lines and inbox files are tried again after a fix, and marked as resolved."""

from __future__ import annotations

import io
import json
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import lines
from captured import capture, query, settings, watching
from claude_headspace.capture.retry import run_retry
from claude_headspace.config import load_config
from claude_headspace.verify.run import run_verify
from harness import wait_until

SESSION = str(uuid.UUID(int=1))
LONG = "CLAUDE_HEADSPACE__FILE_WATCHER__MAX_LINE_BYTES"
TEXT = "x" * 200_000


@dataclass
class Rejecting:
    """A log, one transcript, and what was rejected of it."""

    url: str
    directory: Path
    environment: dict[str, str]

    @property
    def path(self) -> Path:
        return self.directory / "projects" / "-home-u-app" / f"{SESSION}.jsonl"

    def capture(self, content: bytes) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_bytes(content)
        capture(self.url, self.directory, self.environment)

    def archive(self) -> None:
        """Have all of the transcript in the archive, and then no longer on the disk."""
        archived = "SELECT coalesce(sum(archived), 0) FROM archive_generations"
        size = self.path.stat().st_size
        with watching(self.environment):
            wait_until(lambda: self.sql(archived) == [(size,)], "the archive has it")
        self.path.unlink()

    def retry(self, ids: list[int] | None = None) -> tuple[int, list[dict[str, Any]]]:
        output = io.StringIO()
        status = run_retry(load_config(self.environment), ids, as_json=True, output=output)
        return status, [json.loads(line) for line in output.getvalue().splitlines()]

    def verify(self) -> int:
        report = run_verify(load_config(self.environment), terminal=io.StringIO())
        return int(report.wrong > 0)

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        return query(self.url, statement, *values)

    def keep(self, offset: int, reason: str, content: bytes, path: str | None = None) -> int:
        """A dead letter as the watcher leaves it."""
        rows = self.sql(
            "INSERT INTO dead_letters (source_id, source_offset, reason, detail, content)"
            " SELECT id, %s, %s, '', %s FROM checkpoints WHERE path = %s RETURNING id",
            offset, reason, content, path or str(self.path),
        )  # fmt: skip
        return int(rows[0][0])

    def unresolved(self) -> list[int]:
        rows = self.sql("SELECT id FROM dead_letters WHERE resolved_at IS NULL ORDER BY id")
        return [row[0] for row in rows]


@pytest.fixture
def rejecting(database_url: str, tmp_path: Path) -> Rejecting:
    environment = settings(database_url, tmp_path, **{LONG: "150000"})
    return Rejecting(database_url, tmp_path, environment)


def test_nothing_to_try(rejecting: Rejecting) -> None:
    assert rejecting.retry() == (0, [])


def test_a_line_that_was_too_long_is_written_once_longer_ones_are_allowed(
    rejecting: Rejecting,
) -> None:
    short, long = lines.user(SESSION, "short"), lines.user(SESSION, TEXT, at=1)
    rejecting.capture(lines.joined(short, long))
    status, (result,) = rejecting.retry()
    assert (status, result["fate"]) == (1, "still rejected")
    assert rejecting.unresolved() == [result["id"]]
    assert rejecting.verify() == 0

    rejecting.environment[LONG] = "300000"
    assert rejecting.verify() == 1
    status, (result,) = rejecting.retry()
    assert (status, result["fate"], rejecting.unresolved()) == (0, "written", [])
    (stored,) = rejecting.sql(
        "SELECT payload ->> 'text', source_offset, annotations FROM events WHERE id = %s",
        result["event_ids"][0],
    )
    assert stored == (TEXT, len(lines.joined(short)), {"repaired": True})
    assert rejecting.verify() == 0
    assert rejecting.retry() == (0, [])


def test_a_line_whose_file_is_gone_is_read_in_the_archive_with_its_calls(
    rejecting: Rejecting,
) -> None:
    long = lines.assistant(SESSION, [lines.text(TEXT), lines.tool_use()], at=1)
    rejecting.capture(lines.joined(lines.user(SESSION, "short"), long))
    rejecting.archive()
    rejecting.environment[LONG] = "300000"
    status, (result,) = rejecting.retry()
    assert (status, result["fate"]) == (0, "written")
    offset = len(lines.joined(lines.user(SESSION, "short")))
    assert rejecting.sql("SELECT tool, call_offset FROM tool_calls") == [("Bash", offset)]


def test_a_damaged_line_stays_rejected_with_its_reason(rejecting: Rejecting) -> None:
    rejecting.capture(lines.joined(lines.user(SESSION, "whole")) + b'{"type": \n')
    status, (result,) = rejecting.retry()
    assert (status, result["fate"]) == (1, "still rejected")
    assert result["detail"].startswith("damaged: ")
    assert rejecting.unresolved() == [result["id"]]


@pytest.mark.parametrize("deleted", [False, True])
def test_a_refused_turn_is_written_where_it_stood(rejecting: Rejecting, deleted: bool) -> None:
    records = [lines.user(SESSION, f"text {number}", at=number) for number in range(3)]
    rejecting.capture(lines.joined(*records))
    columns = "timestamp, payload, source_id, source_offset, project_id, agent_id, event_key"
    statement = f"SELECT {columns} FROM events WHERE event_type = 'turn_detected' ORDER BY 4"
    before = rejecting.sql(statement)
    offset = len(lines.joined(records[0]))
    rejecting.sql("DELETE FROM events WHERE source_offset = %s", offset)
    kept = rejecting.keep(offset, "refused", lines.raw(records[1]))
    if deleted:
        rejecting.path.unlink()
    status, (result,) = rejecting.retry([kept])
    assert (status, result["fate"], rejecting.unresolved()) == (0, "written", [])
    assert rejecting.sql(statement) == before


def test_a_record_behind_a_torn_one_keeps_its_place(rejecting: Rejecting) -> None:
    """Only the offset of the record is kept, not that of its line."""
    first, second = lines.user(SESSION, "first"), lines.user(SESSION, "second", at=1)
    torn = lines.raw(first)[:50]
    rejecting.capture(lines.joined(first) + torn + lines.raw(second) + b"\n")
    offset = len(lines.joined(first)) + len(torn)
    deleted = rejecting.sql("DELETE FROM events WHERE source_offset = %s RETURNING id", offset)
    assert len(deleted) == 1
    kept = rejecting.keep(offset, "refused", torn + lines.raw(second))
    _, results = rejecting.retry([kept])
    assert results[0]["fate"] == "written"
    assert rejecting.sql("SELECT 1 FROM events WHERE source_offset = %s", offset) == [(1,)]


def test_a_rejected_line_that_is_no_turn_is_no_longer_rejected(rejecting: Rejecting) -> None:
    record = lines.progress(SESSION)
    rejecting.capture(lines.joined(lines.user(SESSION, "text"), record))
    offset = rejecting.path.stat().st_size - len(lines.joined(record))
    rejecting.keep(offset, "poison", lines.raw(record))
    status, (result,) = rejecting.retry()
    assert (status, result["fate"], rejecting.unresolved()) == (0, "no longer rejected", [])


def test_what_is_in_the_log_is_acknowledged(rejecting: Rejecting) -> None:
    record = lines.user(SESSION, "text")
    rejecting.capture(lines.joined(record))
    rejecting.keep(0, "refused", lines.raw(record))
    status, (result,) = rejecting.retry()
    assert (status, result["fate"], rejecting.unresolved()) == (0, "in the log already", [])


def test_a_file_of_the_inbox(rejecting: Rejecting) -> None:
    rejecting.capture(lines.joined(lines.user(SESSION, "text")))
    inbox = str(rejecting.directory / "var" / "inbox")
    rejecting.sql(
        "INSERT INTO checkpoints (machine, path) SELECT id, %s FROM machines"
        " ON CONFLICT DO NOTHING",
        inbox,
    )
    event = {
        "id": str(uuid.uuid4()),
        "type": "hook_received",
        "timestamp": "2026-01-02T03:04:05Z",
        "payload": {
            "hook_type": "Stop",
            "claude_session_id": SESSION,
            "working_directory": "/home/u/app",
        },
    }
    good = rejecting.keep(7, "refused", json.dumps(event).encode(), inbox)
    bad = rejecting.keep(8, "damaged", b"{", inbox)
    status, results = rejecting.retry()
    fates = {result["id"]: result["fate"] for result in results}
    assert (status, fates) == (1, {good: "written", bad: "still rejected"})
    assert rejecting.unresolved() == [bad]
    (stored,) = rejecting.sql(
        "SELECT e.payload, e.source_offset, a.session_uuid::text FROM events e"
        " JOIN agents a ON a.id = e.agent_id WHERE e.event_key = %s",
        event["id"],
    )
    assert stored == (event["payload"], 7, SESSION)


def test_an_id_that_does_not_exist(rejecting: Rejecting) -> None:
    status, (result,) = rejecting.retry([4711])
    assert (status, result["id"], result["fate"]) == (1, 4711, "unknown")
