"""A second opinion on what the turns in transcripts are: slow, plain, and sharing no code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

WRAPPERS = ("ide_opened_file", "ide_selection", "ide_diagnostics", "system-reminder")
NOT_TYPED = [
    "<local-command-stdout>",
    "<local-command-stderr>",
    "<local-command-caveat>",
    "Caveat: The messages below were generated",
    "<bash-stdout>",
    "<bash-stderr>",
    "<task-notification>",
    "[Request interrupted by user",
]
DECODER = json.JSONDecoder(strict=False)


class Expected(NamedTuple):
    """One turn that the log must hold."""

    session: str
    uuid: str
    actor: str
    text: str
    timestamp: str


def turns_of_file(path: Path) -> list[Expected]:
    """Every turn of a file in order, repetitions included."""
    data = path.read_bytes()
    return [turn for line in data.split(b"\n") for turn in turns_of_line(line)]


def turns_below(*roots: Path) -> dict[tuple[str, str], Expected]:
    """The distinct turns of every transcript below the roots."""
    found: dict[tuple[str, str], Expected] = {}
    for root in roots:
        for path in sorted(root.rglob("*.jsonl")):
            if path.name != "journal.jsonl":
                for turn in turns_of_file(path):
                    found.setdefault((turn.session, turn.uuid), turn)
    return found


def turns_of_line(line: bytes) -> list[Expected]:
    """The turns of one line."""
    return [turn for record in records(line) if (turn := _turn(record))]


def records(line: bytes) -> Iterator[dict[str, Any]]:
    """Every whole record, whatever stands before, between and behind."""
    text = line.replace(b"\0", b" ").decode("utf-8", "replace")
    at, damaged = 0, False
    while (at := text.find("{", at)) >= 0:
        try:
            value, end = DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            damaged = True
            at += 1
            continue
        if damaged and not {"type", "sessionId", "uuid"} <= set(value):
            at += 1
            continue
        yield value
        damaged = False
        at = end


def _turn(record: dict[str, Any]) -> Expected | None:
    said = _said(record)
    session, line_uuid = record.get("sessionId"), record.get("uuid")
    timestamp = record.get("timestamp")
    if said is None or not (session and line_uuid and timestamp):
        return None
    return Expected(
        session, line_uuid, "user" if record["type"] == "user" else "agent", *said, timestamp
    )


def _said(record: dict[str, Any]) -> tuple[str] | None:
    message = record.get("message")
    if not isinstance(message, dict):
        return None
    if record.get("type") == "assistant":
        notice = record.get("isApiErrorMessage") or message.get("model") == "<synthetic>"
        answer = _text_of(message)
        return (answer,) if answer.strip() and not notice else None
    hidden = any(record.get(flag) for flag in ("isMeta", "isCompactSummary", "isSidechain"))
    if record.get("type") != "user" or hidden:
        return None
    typed = unwrapped(_text_of(message)).strip()
    if not typed or any(typed.startswith(start) for start in NOT_TYPED):
        return None
    return (_command(typed),)


def _text_of(message: dict[str, Any]) -> str:
    content = message.get("content")
    if not isinstance(content, list):
        return content if isinstance(content, str) else ""
    texts = [
        block["text"]
        for block in content
        if isinstance(block, dict)
        and block.get("type") == "text"
        and isinstance(block.get("text"), str)
        and block["text"].strip()
    ]
    return "\n".join(texts)


def unwrapped(text: str) -> str:
    """The text without the blocks that programs wrap around it."""
    at = 0
    while (at := text.find("<", at)) >= 0:
        ends = [
            text.find(f"</{name}>", at) + len(name) + 3
            for name in WRAPPERS
            if text.startswith(f"<{name}>", at) and f"</{name}>" in text[at:]
        ]
        if ends:
            text = text[:at] + text[ends[0] :]
        else:
            at += 1
    return text


def _command(typed: str) -> str:
    if typed.startswith("<bash-input>") and "</bash-input>" in typed:
        return "! " + _inside(typed, "bash-input").strip()
    starts = typed.startswith(("<command-name>", "<command-message>"))
    if starts and _has(typed, "command-name"):
        name, args = _inside(typed, "command-name"), ""
        if _has(typed, "command-args"):
            args = _inside(typed, "command-args")
        return f"{name.strip()} {args.strip()}".strip()
    return typed


def _has(text: str, tag: str) -> bool:
    opened = text.find(f"<{tag}>")
    return opened >= 0 and text.find(f"</{tag}>", opened) >= 0


def _inside(text: str, tag: str) -> str:
    return text.split(f"<{tag}>", 1)[1].split(f"</{tag}>", 1)[0]
