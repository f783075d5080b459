"""A log with everything in it that the reading commands show, and a screen to run them on."""

from __future__ import annotations

import io
import json
import re
import sys
import time
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import lines
from captured import capture, query, settings
from claude_headspace.cli.program import run
from claude_headspace.store.search_index import SearchIndex
from servers import PostgresServer

LINT = "9d440bfc-a64f-43be-aa10-10a3764a59ea"
WIDE = "6f1d0a7e-0d3a-4c6b-9a0c-0123456789ab"
ASKS = "77777777-0d3a-4c6b-9a0c-0123456789ab"
CODE = "Done:\n\n```python\nprint('ä')\n```\n\n- one **bold** point\n- two"
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


def _call(number: int, tool: str, **given: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": f"toolu_{number:02}", "name": tool, "input": given}


def _result(number: int, content: str, *, failed: bool = False) -> dict[str, Any]:
    answer = {"type": "tool_result", "tool_use_id": f"toolu_{number:02}", "content": content}
    return {**answer, "is_error": True} if failed else answer


def _lint(cwd: str) -> Iterator[dict[str, Any]]:
    yield lines.user(LINT, "Please fix the lint errors", at=0, cwd=cwd)
    yield lines.assistant(LINT, [lines.thinking()], at=2, cwd=cwd, message_id="m1")
    yield lines.assistant(LINT, [_call(1, "Bash", command="ruff check .")], at=3, cwd=cwd)
    yield lines.user(LINT, [_result(1, "exit code 1: E501", failed=True)], at=4, cwd=cwd)
    edit = _call(2, "Edit", file_path=f"{cwd}/a.py", old_string="a", new_string="b")
    yield lines.assistant(LINT, [edit], at=5, cwd=cwd, message_id="m2")
    yield lines.user(LINT, [_result(2, "ok")], at=6, cwd=cwd)
    said = lines.assistant(LINT, CODE, at=7, cwd=cwd, message_id="m3")
    said["message"]["usage"] = {"input_tokens": 10, "output_tokens": 20}
    yield said


def _wide(cwd: str) -> Iterator[dict[str, Any]]:
    hostile = "\x1b]0;owned\x07 漢字漢字 " * 20
    yield lines.user(WIDE, f"lint {hostile}", at=3600, cwd=cwd)
    yield lines.assistant(WIDE, f"Das heißt → {hostile}", at=3601, cwd=cwd)


def _asks(cwd: str) -> Iterator[dict[str, Any]]:
    now = (datetime.now(UTC) - lines.START).total_seconds() - 5
    questions = [{"question": "Tabs or spaces?", "options": [{"label": "Tabs"}]}]
    yield lines.user(ASKS, "Which is better?", at=now, cwd=cwd)
    asking = _call(3, "AskUserQuestion", questions=questions)
    yield lines.assistant(ASKS, [asking], at=now + 1, cwd=cwd)


def write_transcripts(projects: Path) -> None:
    """Three sessions in two projects; one asks something now, one holds a damaged line."""
    for session, cwd, made in (
        (LINT, "/home/me/my-project", _lint),
        (WIDE, "/home/me/my-project", _wide),
        (ASKS, "/srv/other/my-project", _asks),
    ):
        place = projects / cwd.replace("/", "-") / f"{session}.jsonl"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(lines.joined(*made(cwd)))
    with place.open("ab") as file:
        file.write(b'{"type": "user", \x1b[31m broken\n')


@dataclass(frozen=True)
class Ended:
    """What one command said, and its exit status."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """What it printed, without colours."""
        return _ANSI.sub("", self.out).splitlines()


class _Screen(io.TextIOWrapper):
    """Standard output as a terminal of so many columns, or as a pipe."""

    def __init__(self, columns: int | None, encoding: str) -> None:
        super().__init__(io.BytesIO(), encoding, "strict", "\n", write_through=True)
        self.columns = columns

    def isatty(self) -> bool:
        """Whether it has columns."""
        return self.columns is not None

    def text(self) -> str:
        """All that was written."""
        written = self.buffer
        assert isinstance(written, io.BytesIO)
        return written.getvalue().decode("utf-8", "replace")


@dataclass(frozen=True)
class Commands:
    """Runs commands in this process, on one captured log."""

    url: str
    directory: Path
    environment: Mapping[str, str]

    def run(
        self,
        *arguments: str,
        columns: int | None = None,
        encoding: str = "utf-8",
        given: str = "",
        env: Mapping[str, str] | None = None,
    ) -> Ended:
        """One command line; `columns` makes standard output a terminal."""
        out, err = _Screen(columns, encoding), _Screen(None, encoding)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {**self.environment, **(env or {})}.items():
                patch.setenv(name, value)
            if columns is not None:
                patch.setenv("COLUMNS", str(columns))
            patch.setattr(sys, "stdin", io.StringIO(given))
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            time.tzset()
            status = run(arguments)
        time.tzset()
        return Ended(status, out.text(), err.text())

    def json(self, *arguments: str, env: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
        """The objects that a command prints, one on a line."""
        asked = [*arguments, *(["--json"] if arguments[0] != "export" else [])]
        ended = self.run(*asked, env=env)
        assert (ended.status, ended.err) == (0, "")
        return [json.loads(line) for line in ended.out.splitlines()]


def columns_of(line: str) -> int:
    """How many columns a terminal takes for it."""
    wide = sum(unicodedata.east_asian_width(each) in "WF" for each in line)
    return len(line) + wide - sum(map(bool, map(unicodedata.combining, line)))


@contextmanager
def commanded(server: PostgresServer, template: str, directory: Path) -> Iterator[Commands]:
    """A captured and indexed log, shared by all tests of a module."""
    with server.database(template) as url:
        environment = settings(url, directory, TZ="UTC", HOME=str(directory))
        write_transcripts(directory / "projects")
        capture(url, directory, environment)
        title = '{"ai-title": "Fix lint"}'
        query(url, "UPDATE agents SET titles = %s WHERE session_uuid = %s", title, LINT)
        index = SearchIndex(lambda: url, lambda: False)
        index.catch_up(index._follower())
        index._database.close()
        chosen = {name: text for name, text in environment.items() if "HEADSPACE" in name}
        chosen |= {name: environment[name] for name in ("DATABASE_URL", "TZ", "HOME")}
        yield Commands(url, directory, {**chosen, "NO_COLOR": "", "PAGER": "cat"})
