"""Sessions that go on while the page is looked at: lines as Claude Code writes them, in time."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lines
from harness import Projects


class Talk:
    """One session that grows; times are so many seconds before now."""

    def __init__(self, projects: Projects, cwd: str = "/home/u/work/app") -> None:
        self.session = lines.new_session()
        self.cwd = cwd
        self._projects = projects

    @property
    def path(self) -> Path:
        """Its transcript."""
        return self._projects.path(self.session, self.cwd)

    def _at(self, ago: float) -> float:
        return (datetime.now(UTC) - lines.START).total_seconds() - ago

    def _write(self, path: Path, *records: lines.Record) -> None:
        self._projects.append(path, lines.joined(*records))

    def prompt(self, text: str, *, ago: float = 0, **more: Any) -> str:
        """What a person types; returns the line's uuid."""
        record = lines.user(self.session, text, at=self._at(ago), cwd=self.cwd, **more)
        self._write(self.path, record)
        return str(record["uuid"])

    def answer(
        self,
        content: Any,
        *,
        ago: float = 0,
        subagent: str | None = None,
        stop_reason: str | None = None,
    ) -> None:
        """A line of Claude's: words, or blocks."""
        more: dict[str, Any] = {"isSidechain": True, "agentId": subagent} if subagent else {}
        record = lines.assistant(
            self.session, content, at=self._at(ago), cwd=self.cwd,
            message_id=f"msg_{uuid.uuid4().hex}", **more,
        )  # fmt: skip
        record["message"]["stop_reason"] = stop_reason
        record["message"]["usage"] = {"input_tokens": 3, "output_tokens": 120}
        self._write(self._file(subagent), record)

    def _file(self, subagent: str | None) -> Path:
        if subagent is None:
            return self.path
        return self.path.with_suffix("") / "subagents" / f"agent-{subagent}.jsonl"

    def call(
        self, tool: str, given: dict[str, Any], *, ago: float = 0, subagent: str | None = None
    ) -> str:
        """A call of a tool that goes out; returns its id."""
        call_id = f"toolu_{uuid.uuid4().hex[:20]}"
        block = {"type": "tool_use", "id": call_id, "name": tool, "input": given}
        self.answer([block], ago=ago, subagent=subagent)
        return call_id

    def result(
        self, call_id: str, content: str, *, ago: float = 0, error: bool = False, **more: Any
    ) -> None:
        """What comes back for a call."""
        subagent = more.pop("subagent", None)
        block: dict[str, Any] = {"type": "tool_result", "tool_use_id": call_id}
        block["content"] = content
        if error:
            block["is_error"] = True
        if subagent:
            more |= {"isSidechain": True, "agentId": subagent}
        record = lines.user(self.session, [block], at=self._at(ago), cwd=self.cwd, **more)
        self._write(self._file(subagent), record)
