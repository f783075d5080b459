"""Counts tool calls and tokens in transcripts by plain JSON; shares nothing with the program.

Lines that are not one JSON object are left out: such files are made by the tests themselves.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TOKENS = (
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
)


def records(root: Path) -> Iterator[dict[str, Any]]:
    """Every record of every transcript below."""
    for path in sorted(root.rglob("*.jsonl")):
        for line in path.read_bytes().split(b"\n"):
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict) and isinstance(record.get("message"), dict):
                yield record


def tokens(root: Path) -> dict[str, tuple[int, ...]]:
    """Replies and the sums of TOKENS by model: of each reply what its last line says."""
    last: dict[str, tuple[str, dict[str, Any]]] = {}
    for record in records(root):
        message = record["message"]
        usage, model = message.get("usage"), message.get("model")
        if record["type"] == "assistant" and usage and model != "<synthetic>":
            last[message["id"]] = (model, usage)
    sums: dict[str, list[int]] = {}
    for model, usage in last.values():
        row = sums.setdefault(model, [0] * (1 + len(TOKENS)))
        row[0] += 1
        for number, name in enumerate(TOKENS, 1):
            row[number] += usage.get(name) or 0
    return {model: tuple(row) for model, row in sums.items()}


def tools(root: Path) -> Counter[str]:
    """Calls by tool: one for each, however many sessions repeat its line."""
    return Counter(name for _, _, name in {*_calls(root)})


def answered(root: Path) -> int:
    """How many calls have a result in their own session."""
    results = {
        (record["sessionId"], block["tool_use_id"])
        for record, block in _blocks(root, "user", "tool_result")
    }
    return len(results & {(r["sessionId"], b["id"]) for r, b in _blocks(root)})


def _calls(root: Path) -> Iterator[tuple[str, str, str]]:
    """A line's time tells ids apart that a client has used twice; a copy keeps both."""
    for record, block in _blocks(root):
        yield record["timestamp"], block["id"], block["name"]


def _blocks(
    root: Path, kind: str = "assistant", block_type: str = "tool_use"
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for record in records(root):
        content = record["message"].get("content")
        if record["type"] == kind and isinstance(content, list):
            for block in content:
                if isinstance(block, dict) and block.get("type") == block_type:
                    yield record, block
