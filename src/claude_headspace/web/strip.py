"""Health in words: the verdict, the reason, and the remedy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from claude_headspace.errors import START_COMMAND
from claude_headspace.health.reasons import READING_BACKLOG
from claude_headspace.health.units import format_bytes
from claude_headspace.health.verdict import Verdict
from claude_headspace.web.words import ago, clock, counted

_COMMAND = re.compile(r"`([^`]+)`|(claude-headspace supervisorctl start \w+)")


@dataclass(frozen=True, slots=True)
class Strip:
    """The text of the strip; `command` is what to run, `figures` accompany a good verdict."""

    kind: Literal["ok", "warn", "broken"]
    verdict: str
    detail: str
    command: str = ""
    figures: str = ""


def strip_of(verdict: Verdict, now: float) -> Strip:
    """The strip for a verdict of health."""
    watcher = verdict.checks["watcher"]
    database = verdict.checks["database"]
    if database.get("reachable") is False:
        iso = watcher.get("failing_since")
        since = f" since {clock(datetime.fromisoformat(iso))}" if iso else ""
        return Strip(
            "broken", f"Postgres does not answer{since}.",
            "Reading has stopped; nothing is lost.", START_COMMAND,
        )  # fmt: skip
    if verdict.status == "down":
        reason = f"{_upper(verdict.reasons[0])}." if verdict.reasons else ""
        return Strip("broken", "Nothing is being captured.", reason, START_COMMAND)
    if verdict.reasons:
        return _degraded(verdict.reasons)
    backlog = watcher.get("backlog_bytes") or 0
    if any(note.startswith(READING_BACKLOG) for note in verdict.notes) and backlog:
        left = format_bytes(backlog)
        return Strip(
            "warn", "Catching up.", f"{left} to read. Nothing is lost: the files are the queue."
        )
    return _healthy(watcher, now)


def _degraded(reasons: tuple[str, ...]) -> Strip:
    more = f" {counted(len(reasons) - 1, 'more problem')}." if len(reasons) > 1 else ""
    found = _COMMAND.search(reasons[0])
    command = next((group for group in found.groups() if group), "") if found else ""
    head, _, rest = reasons[0].partition(": ")
    if command and rest == command:  # it is told at the end
        head, rest = head.partition(";")[0], ""
    stop = ":" if rest else "."
    return Strip("warn", _upper(head) + stop, (f"{rest}." if rest else "") + more, command)


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _healthy(watcher: Mapping[str, Any], now: float) -> Strip:
    detail = ""
    if watcher.get("last_write"):
        written = datetime.fromisoformat(watcher["last_write"])
        detail = f"Last event {ago(now - written.timestamp())}."
    figures = " · ".join(
        (
            counted(watcher.get("files") or 0, "file"),
            counted(watcher.get("committed_lines") or 0, "line"),
            f"{format_bytes(watcher.get('committed_bytes') or 0)} read",
        )
    )
    shown = figures if watcher.get("committed_lines") else ""
    return Strip("ok", "Everything is captured.", detail, figures=shown)
