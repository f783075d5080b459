"""The MCP server, asked by the SDK's own client: over stdio as Claude does it, and in process."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters
from mcp.types import TextContent

import lines
from claude_headspace.mcp.answers import LONGEST_TEXT, MOST_CHARACTERS
from claude_headspace.mcp.server import build_server
from claude_headspace.read.connection import ReadPool
from claude_headspace.store.connection import Database
from claude_headspace.store.follower import Follower
from claude_headspace.store.search_index import SearchIndex
from harness import Log, Projects, Watcher, wait_until
from servers import PostgresServer

SHORT, LONG = (f"{n}{n}{n}{n}0000-0000-4000-8000-000000000000" for n in "ab")
PROMPTS = 40
WAIT_SECONDS = 60.0


@pytest.fixture(scope="module")
def url(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer, schema_template: str
) -> Iterator[str]:
    """A log with a short session that has a call of a tool, and a long one."""
    place = tmp_path_factory.mktemp("mcp")
    projects = Projects(place / "projects")
    projects.append(
        projects.path(SHORT),
        lines.joined(
            lines.user(SHORT, "Where is the needle?", at=1),
            lines.assistant(SHORT, [lines.tool_use()], at=2),
            lines.user(SHORT, [lines.tool_result()], at=3),
            lines.assistant(SHORT, "In the haystack.", at=4),
        ),
    )
    within: dict[str, Any] = {"isSidechain": True, "agentId": "a1"}
    projects.append(
        projects.path(SHORT).with_suffix("") / "subagents" / "agent-a1.jsonl",
        lines.joined(
            lines.user(SHORT, "Look into the barn", at=3, **within),
            lines.assistant(SHORT, "Nothing but pitchforks.", at=3, **within),
        ),
    )
    words = [f"prompt{number:02d} " + "x" * 2000 for number in range(PROMPTS)]
    projects.say(LONG, *words, "y" * 3 * LONGEST_TEXT, at=10, cwd="/home/u/other")
    with postgres_server.database(schema_template) as url:
        log = Log(url)
        with Watcher(place, url, projects.root).running():
            wait_until(lambda: len(log.turns()) == PROMPTS + 4, "the turns")
        database = Database(lambda: url, application_name="test")
        index = SearchIndex(lambda: url, busy=lambda: False)
        index.catch_up(Follower(database, 0, types=(), nudge=False))
        database.close()
        yield url


Call = Callable[..., tuple[str, bool]]


@pytest.fixture
def call(url: str) -> Iterator[Call]:
    """What a tool answers, and whether that is an error."""
    pool = ReadPool(lambda: url, connections=1)
    server = build_server(pool)

    def ask(name: str, **arguments: Any) -> tuple[str, bool]:
        async def asked() -> Any:
            async with Client(server) as client:
                return await client.call_tool(name, arguments)

        return text_of(run(asked))

    yield ask
    pool.close_idle(0)


def run(asked: Callable[[], Awaitable[Any]]) -> Any:
    """Run in a thread of its own: in this one, the browser's driver may have left its loop."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(anyio.run, asked).result(WAIT_SECONDS)


def text_of(result: Any) -> tuple[str, bool]:
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text, bool(result.is_error)


def test_over_stdio_as_claude_does_it(url: str, tmp_path: Path) -> None:
    parameters = StdioServerParameters(
        command=sys.executable,
        args=["-I", "-m", "claude_headspace.cli", "mcp"],
        env={**os.environ, "DATABASE_URL": url, "CLAUDE_HEADSPACE_CONFIG": "/dev/null"},
        cwd=str(tmp_path),
    )

    async def asked() -> tuple[Any, Any]:
        async with Client(parameters) as client:
            tools = (await client.list_tools()).tools
            return tools, await client.call_tool("search", {"words": "needle"})

    tools, found = run(asked)
    assert {tool.name for tool in tools} == {
        "search", "list_sessions", "read_session", "work_done",
    }  # fmt: skip
    assert all(tool.annotations.read_only_hint for tool in tools)
    told, failed = text_of(found)
    assert not failed
    assert f"session {SHORT} (Where is the needle?), /home/u/app: Where is the needle" in told


def test_sessions_are_listed(call: Call) -> None:
    told, _ = call("list_sessions")
    assert [line[2:10] for line in told.splitlines()] == [LONG[:8], SHORT[:8]]
    told, _ = call("list_sessions", project="app")
    assert re.search(rf"^- {SHORT}: Where is the needle\?; \w+, 3 turns, last .*/home/u/app$", told)


def test_a_session_is_read_with_its_tools(call: Call) -> None:
    told, _ = call("read_session", session=SHORT[:4])
    parts = ("## Person", "Where is the needle?", "- Bash: ls", "## Claude", "In the haystack.")
    assert re.search(".*".join(map(re.escape, parts)), told, re.DOTALL)


def test_what_only_a_subagent_said_is_read_where_it_was_found(call: Call) -> None:
    found, _ = call("search", words="pitchforks")
    assert f"session {SHORT}" in found
    told, _ = call("read_session", session=SHORT)
    parts = ("## Subagent", "Nothing but pitchforks.")
    assert re.search(".*".join(map(re.escape, parts)), told, re.DOTALL)


def test_a_long_session_is_read_in_parts_of_bounded_size(call: Call) -> None:
    begin, whole = "1", ""
    for _ in range(PROMPTS):
        told, _ = call("read_session", session=LONG, begin=begin)
        assert len(told) < MOST_CHARACTERS + 200
        whole += told
        if not (more := re.search(r"continue with begin=([\d.]+)$", told)):
            break
        begin = more[1]
    said = re.findall(r"^prompt(\d\d) ", whole, re.MULTILINE)
    assert said == [f"{number:02d}" for number in range(PROMPTS)]
    assert f"({2 * LONGEST_TEXT} more characters)" in whole


def test_hits_go_on_where_they_stopped(call: Call) -> None:
    told, _ = call("search", words="prompt*")
    assert len(told.splitlines()) == 21
    following = re.search(r"call again with cursor=(\S+)$", told)
    assert following
    rest, _ = call("search", words="prompt*", cursor=following[1])
    found = re.findall(r"/home/u/other: (prompt\d\d)", told + rest)
    assert len(found) == len(set(found)) == PROMPTS


def test_what_was_worked_on(call: Call) -> None:
    told, _ = call("work_done", since="2025-06-01", until="2025-06-03", project="app")
    assert re.fullmatch(
        rf"- 2025-06-01: Where is the needle\?; 0 minutes, 1 prompt, 1 tool call, 0 failed;"
        rf" session {SHORT}, /home/u/app",
        told,
    )
    assert call("work_done") == ("No work was recorded in that time.", False)


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("search", {"words": "-needle"}, "contains no word"),
        ("search", {"words": "needle", "project": "nowhere"}, "no project named nowhere"),
        ("search", {"words": "needle", "since": "soon"}, "'soon' is not a time"),
        ("read_session", {"session": "zzz"}, "'zzz' is not a session"),
        ("read_session", {"session": "c" * 32}, "the log has no session"),
        ("read_session", {"session": SHORT, "begin": "x"}, "'x' is not a place"),
        ("work_done", {"since": "2001-01-01"}, "by at most 92 days"),
    ],
)
def test_what_cannot_be_answered_is_said(
    call: Call, name: str, arguments: dict[str, str], words: str
) -> None:
    told, failed = call(name, **arguments)
    assert failed
    assert words in told


def test_a_database_that_is_away_is_said() -> None:
    server = build_server(ReadPool(lambda: "postgresql://127.0.0.1:1/log"))

    async def asked() -> Any:
        async with Client(server) as client:
            return await client.call_tool("list_sessions", {})

    told, failed = text_of(run(asked))
    assert failed
    assert "refused" in told
