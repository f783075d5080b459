"""Original lines of transcripts, from the archive or the file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from marshmallow import ValidationError

from claude_headspace.events.payloads import parse_instant
from claude_headspace.read.call_line import objects_in
from claude_headspace.read.connection import Reader
from claude_headspace.read.tools import Call

LONGEST_STRETCH = 8_000_000
_SOURCE = "SELECT machine::text, path FROM checkpoints WHERE id = %s"
_PIECES = (
    "SELECT start, length, content FROM archive_pieces p WHERE source_id = %s AND generation ="
    " (SELECT max(generation) FROM archive_pieces WHERE source_id = p.source_id)"
    " AND start < %s AND start + length > %s ORDER BY start"
)
_THINKING = b'"type":"thinking"'
_EXIT_CODE = re.compile(r"(?:Error: )?Exit code (\d+)")


@dataclass(frozen=True, slots=True)
class Thought:
    """A thinking block, and its place in the file."""

    source_id: int
    offset: int
    at: datetime
    text: str
    subagent: str | None


class Transcripts:
    """Bytes of transcripts: from the archive, and from local files what is not archived yet."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._paths: dict[int, str | None] = {}

    def result(self, call: Call) -> dict[str, Any]:
        """The record of a call's result; empty if it is no longer available."""
        return self._record(call.result_source_id, call.result_offset, call.result_length)

    def given(self, call: Call) -> Any:
        """The complete input of a call; None if it is no longer available."""
        blocks = _blocks(self._record(call.source_id, call.offset, call.length))
        return next((each.get("input") for each in blocks if each.get("id") == call.id), None)

    def answer(self, call: Call) -> str | None:
        """The result of a call, as text; None if it is not available."""
        outputs = outputs_of(self.result(call))
        return next((text for name, text in outputs if name == call.id), None)

    def _record(self, source: int | None, offset: int | None, length: int | None) -> dict[str, Any]:
        if source is None or offset is None or length is None:
            return {}
        return record_of(self.stretch(source, offset, offset + length))

    def stretch(self, source_id: int, start: int, end: int) -> bytes:
        """The bytes between two offsets, as far as they are available; at most 8 MB."""
        end = min(end, start + LONGEST_STRETCH)
        from zstandard import ZstdDecompressor

        data = b""
        for at, length, content in self._reader.rows(_PIECES, [source_id, end, start]):
            opened = ZstdDecompressor().decompress(bytes(content), max_output_size=length)
            data += opened[max(0, start - at) : end - at]
        return data + self._on_disk(source_id, start + len(data), end)

    def _on_disk(self, source_id: int, start: int, end: int) -> bytes:
        if source_id not in self._paths:
            row = self._reader.first(_SOURCE, [source_id])
            self._paths[source_id] = row[1] if row and row[0] == self._reader.machine else None
        path = self._paths[source_id]
        if path is None or start >= end:
            return b""
        try:
            with open(path, "rb") as file:  # noqa: PTH123  stored paths are plain strings
                file.seek(start)
                return file.read(end - start)
        except (OSError, ValueError):
            return b""

    def thoughts(self, source_id: int, start: int, end: int) -> Iterator[Thought]:
        """The thinking in a stretch of a transcript."""
        offset = start
        for line in self.stretch(source_id, start, end).split(b"\n"):
            if _THINKING in line:
                record = record_of(line)
                for text in thoughts_of(record):
                    agent = record.get("agentId") if record.get("isSidechain") else None
                    yield Thought(source_id, offset, moment_of(record), text, agent)
            offset += len(line) + 1


def record_of(line: bytes) -> dict[str, Any]:
    """The record of a line; empty if the line is not a record."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def moment_of(record: Mapping[str, Any]) -> datetime:
    """When it was written; the earliest possible time if it does not say."""
    try:
        return parse_instant(str(record.get("timestamp")))
    except ValidationError:
        return datetime.fromtimestamp(0, UTC)


def thoughts_of(record: Mapping[str, Any]) -> Iterator[str]:
    """The thinking in a record."""
    for block in _blocks(record):
        text = block.get("thinking") if block.get("type") == "thinking" else None
        if isinstance(text, str) and text.strip():
            yield text


def outputs_of(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(id of the call, text) of all tool results in a record."""
    for block in _blocks(record):
        if block.get("type") == "tool_result":
            yield str(block.get("tool_use_id", "")), _text(block.get("content"))


def _blocks(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    message = record.get("message")
    return objects_in(message.get("content")) if isinstance(message, dict) else []


def failure_words(answer: str) -> str:
    """Why a call failed, in short: its exit code, or that it never ran."""
    if matched := _EXIT_CODE.match(answer):
        return f"exit {matched[1]}"
    if "Sibling tool call errored" in answer[:200]:
        return "not run: a parallel call failed"
    return "failed"


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return "" if content is None else json.dumps(content, indent=1, ensure_ascii=False)
    texts = ((each.get("text"), each.get("type", "something")) for each in objects_in(content))
    return "\n".join(
        text if isinstance(text, str) else f"[{kind} that is not text]" for text, kind in texts
    )
