"""A tool call in one line: its most telling input, from JSON whose end may be cut off."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from msgspec import Struct

ONE_LINE = 300
_FIELDS = {
    "Bash": "command", "BashOutput": "bash_id", "KillShell": "shell_id", "Read": "file_path",
    "Write": "file_path", "Edit": "file_path", "MultiEdit": "file_path", "LS": "path",
    "NotebookEdit": "notebook_path", "NotebookRead": "notebook_path", "Glob": "pattern",
    "Grep": "pattern", "WebFetch": "url", "WebSearch": "query", "Task": "description",
    "Agent": "description", "Skill": "skill", "SlashCommand": "command",
}  # fmt: skip
_MCP = re.compile(r"mcp__(.+?)__(.+)")
_HALF_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?$")
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?P<end>"?)|[{}\[\]]', re.DOTALL)
_TRIES = 40


class CallLine(Struct, frozen=True):
    """The line: the tool's short name, its input, and a dimmed aside."""

    name: str
    text: str
    aside: str = ""


@lru_cache(maxsize=2048)
def line_of(tool: str, asked: str, folder: str = "") -> CallLine:
    """The line for a call, from its input as JSON, which may be cut off."""
    return call_line(tool, read_cut(asked), folder)


def call_line(tool: str, given: Mapping[str, Any] | None, folder: str = "") -> CallLine:
    """The line for a call; paths below the session's folder are relative to it."""
    given = given or {}
    if matched := _MCP.fullmatch(tool):
        return CallLine(matched[1], matched[2], _first_text(given))
    text = _one_line(given.get(_FIELDS.get(tool, ""), "")) or _special(tool, given)
    return CallLine(
        tool, _from_folder(text or _first_text(given), folder), _aside(tool, given, folder)
    )


def _special(tool: str, given: Mapping[str, Any]) -> str:
    if tool == "TodoWrite" and isinstance(given.get("todos"), list):
        todos = objects_in(given["todos"])
        done = sum(each.get("status") == "completed" for each in todos)
        return f"{done} of {len(todos)} done"
    if tool == "AskUserQuestion":
        return next((each["question"] for each in questions(given)), "")
    return plan_title(given) if tool == "ExitPlanMode" else ""


def objects_in(value: Any) -> list[dict[str, Any]]:
    """The objects of a list; none if it is something else."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def questions(given: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """The questions of an AskUserQuestion: `question`, and `options` as (label, description)."""
    return [
        {
            "question": each["question"],
            "options": [
                (str(option.get("label", "")), str(option.get("description", "")))
                for option in objects_in(each.get("options"))
            ],
        }
        for each in objects_in((given or {}).get("questions"))
        if isinstance(each.get("question"), str)
    ]


def plan_title(given: Mapping[str, Any] | None) -> str:
    """The first words of a plan, without Markdown."""
    plan = (given or {}).get("plan")
    lines = plan.splitlines() if isinstance(plan, str) else []
    return next((line.strip("#* \t") for line in lines if line.strip("#* \t")), "a plan")


def _aside(tool: str, given: Mapping[str, Any], folder: str) -> str:
    if tool in ("Grep", "Glob") and given.get("path"):
        return f"in {_from_folder(_one_line(given['path']), folder)}"
    if tool in ("Task", "Agent") and given.get("subagent_type"):
        return f"· {_one_line(given['subagent_type'])}"
    if tool == "Read" and isinstance(given.get("offset"), int):
        rows = given.get("limit")
        return f"from line {given['offset']}" + (f", {rows} lines" if isinstance(rows, int) else "")
    if tool in ("Edit", "MultiEdit"):
        edits = objects_in(given.get("edits")) if tool == "MultiEdit" else [given]
        changes = (diff(edit.get("old_string"), edit.get("new_string")) for edit in edits)
        kinds = [kind for lines in changes for kind, _ in lines]
        return f"+{kinds.count('add')} −{kinds.count('del')}"
    return ""


def diff(old: Any, new: Any) -> list[tuple[str, str]]:
    """Lines of an edit as (kind, text), the kind add, del or ctx."""
    from difflib import SequenceMatcher

    before = old.splitlines() if isinstance(old, str) else []
    after = new.splitlines() if isinstance(new, str) else []
    lines: list[tuple[str, str]] = []
    for tag, i, j, k, m in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        lines += [("ctx" if tag == "equal" else "del", line) for line in before[i:j]]
        lines += [("add", line) for line in after[k:m] if tag != "equal"]
    return lines


def _from_folder(text: str, folder: str) -> str:
    return text.replace(folder.rstrip("/") + "/", "") if folder.strip("/") else text


def _first_text(given: Mapping[str, Any]) -> str:
    return next((_one_line(value) for value in given.values() if isinstance(value, str)), "")


def _one_line(value: Any) -> str:
    return " ".join(value.split())[:ONE_LINE] if isinstance(value, str) else ""


def read_cut(text: str) -> Mapping[str, Any]:
    """The object that begins here; the value that was cut ends with an ellipsis."""
    found = _load(text)
    if found is None:
        text, closers = _closed(text)
        found = _load(text + closers)
        for _ in range(_TRIES):
            if found is not None or "," not in text:
                break
            text = text.rpartition(",")[0]
            found = _load(text + _closed(text)[1])
    return found if isinstance(found, dict) else {}


def _load(text: str) -> Any:
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None


def _closed(text: str) -> tuple[str, str]:
    """The text without an incomplete escape at its end, and the characters that close it."""
    open_brackets, in_string = list[str](), False
    for token in _TOKEN.finditer(text):
        mark = text[token.start()]
        if mark == '"':  # only the last string can be open
            in_string = not token["end"]
        elif mark in "{[":
            open_brackets.append("}" if mark == "{" else "]")
        elif open_brackets:
            open_brackets.pop()
    if in_string:
        even = len(text) - len(text.rstrip("\\"))
        text = text if even and even % 2 == 0 else _HALF_ESCAPE.sub("", text)
    return text, ('…"' if in_string else "") + "".join(reversed(open_brackets))
