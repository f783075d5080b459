"""The API against its own description, on a running server; its lists in all their forms."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from supervised import free_port

from claude_headspace.web.access_token import token_of
from harness import Log, Projects, Watcher, wait_until
from servers import PostgresServer
from website import Website, website

CHECKS = (
    "not_a_server_error,content_type_conformance,response_schema_conformance,"
    "status_code_conformance,negative_data_rejection"
)
LISTS = ("sessions", "events", "tools", "usage", "search?q=question")


@pytest.fixture(scope="module")
def filled(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer, schema_template: str
) -> Iterator[tuple[Log, Website]]:
    """A log with some sessions, and the web application over it."""
    place = tmp_path_factory.mktemp("api")
    with postgres_server.database(schema_template) as url:
        log = Log(url)
        projects = Projects(place / "projects")
        projects.fill(sessions=6, turns=12)
        with (
            Watcher(place, url, projects.root).running(),
            website(place / "web", url, free_port()) as site,
        ):
            wait_until(lambda: len(log.turns()) >= len(projects.turns()), "the turns")
            ready = "SELECT event_id >= (SELECT max(id) FROM events) FROM search_cursor"
            wait_until(lambda: log.value(ready), "the search index")
            yield log, site


@pytest.fixture
def site(filled: tuple[Log, Website]) -> Website:
    return filled[1]


@pytest.mark.long
@pytest.mark.timeout(600)
def test_answers_are_as_described(site: Website, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            Path(sys.executable).parent / "schemathesis",
            "run",
            f"http://127.0.0.1:{site.port}/api/openapi.json",
            "--header",
            f"Authorization: Bearer {token_of(site.state)}",
            "--exclude-path",
            "/api/events/stream",
            "--phases",
            "coverage,fuzzing",
            "--max-examples",
            "5",
            "--checks",
            CHECKS,
            "--no-color",
        ],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "Tested: " in done.stdout


@pytest.mark.parametrize("name", LISTS)
def test_every_list_has_the_same_rows_in_all_forms(site: Website, name: str) -> None:
    path, _, query = name.partition("?")
    ask = f"{query}&limit=5" if query else "limit=5"
    rows = site.get(f"/api/{path}?{ask}").json[path]
    assert site.get(f"/api/{path}.json?{ask}").json[path] == rows
    lines = site.get(f"/api/{path}.jsonl?{ask}")
    assert [json.loads(line) for line in lines.body.splitlines()] == rows
    table = site.get(f"/api/{path}.csv?{ask}")
    assert "attachment" in table.headers["content-disposition"]
    written = list(csv.DictReader(io.StringIO(table.body.decode())))
    assert len(written) == len(rows)
    assert [set(row) for row in written] == [set(row) for row in rows]


@pytest.mark.parametrize("name", ["events", "search?q=question", "sessions"])
def test_pages_follow_one_another_without_gap_or_overlap(site: Website, name: str) -> None:
    path, _, query = name.partition("?")
    whole = site.get(f"/api/{path}?{query}&limit=1000").json[path]
    rows: list[Any] = []
    link = f"/api/{path}.jsonl?{query}&limit=7"
    while link:
        answer = site.get(link)
        rows += [json.loads(line) for line in answer.body.splitlines()]
        following = answer.headers.get("Link", answer.headers.get("link", ""))
        link = following.partition(">")[0].lstrip("<")
    assert rows == whole
    assert len({json.dumps(row) for row in rows}) == len(rows) > 0


def test_one_session_with_its_turns(site: Website) -> None:
    listed = site.get("/api/sessions?limit=1").json["sessions"][0]
    name = listed["session"]
    one = site.get(f"/api/sessions/{name[:8]}").json
    assert one["session"] == name
    turns = site.get(f"/api/sessions/{name}/turns?limit=1000").json["turns"]
    assert len(turns) == one["turns"]
    assert [turn["id"] for turn in turns] == sorted(turn["id"] for turn in turns)
    assert any(turn["text"].startswith("question 0") for turn in turns)
    said = site.get(f"/api/sessions/{name}/turns?actor=user").json["turns"]
    assert {turn["actor"] for turn in said} == {"user"}


def test_events_are_filtered(filled: tuple[Log, Website]) -> None:
    log, site = filled

    def found(query: str) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = site.get(f"/api/events?limit=1000&{query}").json["events"]
        return events

    session = log.value("SELECT session_uuid::text FROM agents LIMIT 1")
    assert {event["session"] for event in found(f"session={session[:8]}")} == {session}
    assert {event["project"] for event in found("project=app1")} == {"/home/u/app1"}
    assert {event["type"] for event in found("type=session_registered")} == {"session_registered"}
    assert {event["payload"]["actor"] for event in found("actor=agent")} == {"agent"}
    both = found("type=turn_detected&type=session_registered")
    assert len(both) == len(found(""))
    middle = both[len(both) // 2]["timestamp"]
    assert len(found(f"since={middle}")) + len(found(f"until={middle}")) == len(both)
    assert len(found("host=test-host&project=app2")) == len(found("project=app2"))
    assert site.get("/api/events?host=nobody").status == 404


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        ("/api/events?limit=0", 400, "bad_request"),
        ("/api/events?limit=1001", 400, "bad_request"),
        ("/api/events?since=yesterday", 400, "bad_request"),
        ("/api/events?since=2026-01-01T00:00:00", 400, "bad_request"),
        ("/api/events?since=0.5", 400, "bad_request"),
        ("/api/events?cursor=bm9uc2Vuc2U", 400, "bad_request"),
        ("/api/events?color=red", 400, "bad_request"),
        ("/api/events?project=%00", 400, "bad_request"),
        ("/api/events/9223372036854775808", 404, "not_found"),
        ("/api/search", 400, "bad_request"),
        ("/api/search?q=-x", 400, "bad_request"),
        ("/api/events/0", 404, "not_found"),
        ("/api/events/x", 404, "not_found"),
        (f"/api/sessions/{uuid.UUID(int=1)}", 404, "not_found"),
        (f"/api/sessions/{uuid.UUID(int=1)}/turns", 404, "not_found"),
        ("/api/nothing", 404, "not_found"),
    ],
)
def test_what_cannot_be_answered_is_told(site: Website, path: str, status: int, kind: str) -> None:
    answer = site.get(path)
    assert (answer.status, answer.json["error"]["kind"]) == (status, kind)
    assert answer.json["error"]["message"]
    assert answer.json["error"]["hint"]


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-14:00"])
def test_any_time_can_be_asked_for(site: Website, time: str) -> None:
    for path in ("events?since", "events?until", "sessions?since", "sessions?until", "activity?at",
                 "activity?range=year&at", "api/events?since", "api/events?until"):  # fmt: skip
        assert site.get(f"/{path}={time}", Accept="text/html").status == 200, path


def test_a_cell_is_no_formula(filled: tuple[Log, Website]) -> None:
    log, site = filled
    log.rows(
        "INSERT INTO events (timestamp, event_type, payload, session_uuid, event_key)"
        " VALUES (now(), '=cmd()', '{}', gen_random_uuid(), gen_random_uuid())"
    )
    rows = csv.DictReader(io.StringIO(site.get("/api/events.csv?limit=1").body.decode()))
    assert next(rows)["type"] == "'=cmd()"
