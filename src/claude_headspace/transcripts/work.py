"""Tool calls and tokens in a record. Unexpected values are skipped, and never reject a line."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec

from claude_headspace.events.event import storable
from claude_headspace.events.work import TokenUsage, ToolCall, ToolResult, Work
from claude_headspace.transcripts.records import ABSENT, Block, MessageBody, Record

# The limit of names and ids, which are index keys; real ones have 30 characters.
LONGEST_NAME = 200
# The "model" of answers by the client itself, which cost nothing.
SYNTHETIC = "<synthetic>"
_NOT_RUN = ("interrupted", "cancelled")
# Beginnings of results, from clients that have no field for this.
_ERROR_BYTES = 200
_DENIED = re.compile(
    rb"The user doesn't want to |Permission to use .{1,100} has been denied"
    rb"|Claude requested permissions |.{0,60}denied this tool"
)
_INTERRUPTED = re.compile(
    rb"(?:Exit code \d+\\n)?\[Request interrupted by user|Permission prompt was aborted"
)
# Follows a tool's output, near the end of the line.
_STOPPED = b'"interrupted":true'
_END_BYTES = 4096

# In a damaged line, all numbers are read as floats.
Tokens = Annotated[float, msgspec.Meta(ge=0, le=2**53)] | None


class _CacheWrites(msgspec.Struct):
    ephemeral_1h_input_tokens: Tokens = None


class _ToldUsage(msgspec.Struct):
    input_tokens: Tokens = None
    output_tokens: Tokens = None
    cache_read_input_tokens: Tokens = None
    cache_creation_input_tokens: Tokens = None
    cache_creation: _CacheWrites | None = None
    service_tier: str | None = None


class _Denial(msgspec.Struct):
    toolDenialKind: str | None = None  # noqa: N815


_decode_usage = msgspec.json.Decoder(_ToldUsage | None).decode
_decode_denial = msgspec.json.Decoder(_Denial).decode
_FAILURES = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def work_of(record: Record, message: MessageBody, line: bytes) -> Work | None:
    """The tool calls and tokens of this record, which is on this line; None if it has none."""
    blocks = message.content if isinstance(message.content, list) else ()
    if record.type == "assistant":
        usage = _usage(message)
        calls = tuple(
            ToolCall(_name(block.id), _name(block.name), block.input)
            for block in blocks
            if type(block) is Block and block.type == "tool_use" and block.id and block.name
        )
        return Work(_agent(record), usage, calls) if usage or calls else None
    results = tuple(
        ToolResult(
            _name(block.tool_use_id), _outcome(block, line), memoryview(block.content).nbytes
        )
        for block in blocks
        if type(block) is Block and block.type == "tool_result" and block.tool_use_id
    )
    return Work(_agent(record), results=results) if results else None


def _usage(message: MessageBody) -> TokenUsage | None:
    if message.usage == ABSENT or not message.id or message.model in (None, SYNTHETIC):
        return None
    try:
        told = _decode_usage(message.usage)
    except _FAILURES:
        return None
    if told is None:
        return None
    return TokenUsage(
        _name(message.id), _name(message.model),
        int(told.input_tokens or 0), int(told.output_tokens or 0),
        int(told.cache_read_input_tokens or 0), int(told.cache_creation_input_tokens or 0),
        int((told.cache_creation and told.cache_creation.ephemeral_1h_input_tokens) or 0),
        told.service_tier and _name(told.service_tier),
        _name(message.stop_reason) if isinstance(message.stop_reason, str) else None,
    )  # fmt: skip


def _agent(record: Record) -> str | None:
    return record.agentId and _name(record.agentId)


def _name(text: str | None) -> str:
    return storable(text or "")[0][:LONGEST_NAME]


def _size(content: msgspec.Raw) -> int:
    return memoryview(content).nbytes


def _outcome(block: Block, line: bytes) -> str:
    stopped = line.find(_STOPPED, -_END_BYTES) >= 0
    if not block.is_error:
        return "interrupted" if stopped else "ok"
    if kind := _denial_kind(line):
        return "interrupted" if kind in _NOT_RUN else "denied"
    begin = bytes(memoryview(block.content)[:_ERROR_BYTES])
    begin = begin.partition(b'"text":')[2] if begin.startswith(b"[") else begin
    begin = begin.lstrip(b' "')
    if _DENIED.match(begin):
        return "denied"
    return "interrupted" if stopped or _INTERRUPTED.match(begin) else "error"


def _denial_kind(line: bytes) -> str | None:
    try:
        return _decode_denial(line).toolDenialKind
    except _FAILURES:
        return None
