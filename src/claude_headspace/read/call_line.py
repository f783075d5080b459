"""A tool call in one line: its most telling input."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from msgspec import Struct

from claude_headspace.read.cut_json import read_cut

ONE_LINE = 300
_FIELDS = {
    "Bash": "command", "BashOutput": "bash_id", "KillShell": "shell_id", "Read": "file_path",
    "Write": "file_path", "Edit": "file_path", "MultiEdit": "file_path", "LS": "path",
    "NotebookEdit": "notebook_path", "NotebookRead": "notebook_path", "Glob": "pattern",
    "Grep": "pattern", "WebFetch": "url", "WebSearch": "query", "Task": "description",
    "Agent": "description", "Skill": "skill", "SlashCommand": "command",
}  # fmt: skip
_MCP = re.compile(r"mcp__(.+?)__(.+)")


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
    if tool == "TodoWrite" and isinstance(todos := given.get("todos"), list):
        done = sum(isinstance(each, dict) and each.get("status") == "completed" for each in todos)
        return f"{done} of {len(todos)} done"
    if tool == "AskUserQuestion":
        return next((each["question"] for each in questions(given)), "")
    if tool == "ExitPlanMode":
        return plan_title(given)
    return ""


def questions(given: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """The questions of an AskUserQuestion: `question`, and `options` as (label, description)."""
    asked = (given or {}).get("questions")
    found = []
    for each in asked if isinstance(asked, list) else []:
        if isinstance(each, dict) and isinstance(each.get("question"), str):
            options = each.get("options")
            found.append(
                {
                    "question": each["question"],
                    "options": [_option(option) for option in options if isinstance(option, dict)]
                    if isinstance(options, list)
                    else [],
                }
            )
    return found


def _option(option: Mapping[str, Any]) -> tuple[str, str]:
    return str(option.get("label", "")), str(option.get("description", ""))


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
        added, removed = changed_lines(tool, given)
        return f"+{added} −{removed}"
    return ""


def changed_lines(tool: str, given: Mapping[str, Any]) -> tuple[int, int]:
    """How many lines an edit adds and removes."""
    edits = given.get("edits") if tool == "MultiEdit" else [given]
    added = removed = 0
    for edit in edits if isinstance(edits, list) else []:
        if isinstance(edit, dict):
            lines = diff(edit.get("old_string"), edit.get("new_string"))
            added += sum(kind == "add" for kind, _ in lines)
            removed += sum(kind == "del" for kind, _ in lines)
    return added, removed


def diff(old: Any, new: Any) -> list[tuple[str, str]]:
    """Lines of an edit as (kind, text), the kind add, del or ctx."""
    from difflib import SequenceMatcher

    before = old.splitlines() if isinstance(old, str) else []
    after = new.splitlines() if isinstance(new, str) else []
    lines: list[tuple[str, str]] = []
    for tag, i, j, k, m in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag == "equal":
            lines += [("ctx", line) for line in before[i:j]]
            continue
        lines += [("del", line) for line in before[i:j]] + [("add", line) for line in after[k:m]]
    return lines


def _from_folder(text: str, folder: str) -> str:
    return text.replace(folder.rstrip("/") + "/", "") if folder.strip("/") else text


def _first_text(given: Mapping[str, Any]) -> str:
    return next((_one_line(value) for value in given.values() if isinstance(value, str)), "")


def _one_line(value: Any) -> str:
    return " ".join(value.split())[:ONE_LINE] if isinstance(value, str) else ""
