"""Transcript lines made to order, as Claude Code writes them."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

START = datetime(2025, 6, 1, 12, 0, 0, tzinfo=UTC)

Record = dict[str, Any]


def instant(seconds: float, start: datetime = START) -> str:
    """A moment as transcripts spell it: milliseconds and Z."""
    moment = start + timedelta(seconds=seconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _common(session: str, kind: str, at: float, cwd: str | None, more: Record) -> Record:
    record: Record = {
        "parentUuid": None,
        "isSidechain": False,
        "sessionId": session,
        "version": "2.1.42",
        "type": kind,
        "uuid": str(uuid.uuid4()),
        "timestamp": instant(at),
    }
    if cwd is not None:
        record["cwd"] = cwd
    return {**record, **more}


def user(
    session: str, content: Any, *, at: float = 0, cwd: str | None = "/home/u/app", **more: Any
) -> Record:
    """A user line; `content` is a string or a list of blocks."""
    message = {"role": "user", "content": content}
    return {"message": message, **_common(session, "user", at, cwd, more)}


def assistant(
    session: str,
    content: Any,
    *,
    at: float = 0,
    cwd: str | None = "/home/u/app",
    model: str = "claude-sonnet-4-5",
    message_id: str = "msg_01",
    **more: Any,
) -> Record:
    """An assistant line; a string means one text block."""
    blocks = [text(content)] if isinstance(content, str) else content
    message = {
        "id": message_id,
        "role": "assistant",
        "model": model,
        "content": blocks,
        "stop_reason": None,
    }
    return {"message": message, **_common(session, "assistant", at, cwd, more)}


def progress(session: str, *, at: float = 0, cwd: str | None = "/home/u/app") -> Record:
    """A line that is no turn and names its session and directory."""
    return _common(session, "progress", at, cwd, {"data": {"type": "hook_progress"}})


def attachment(session: str, prompt: Any, *, at: float = 0, **more: Any) -> Record:
    """A prompt typed while Claude works, as an attachment; `more` is said of the attachment."""
    queued = {"type": "queued_command", "prompt": prompt, **more}
    return _common(session, "attachment", at, "/home/u/app", {"attachment": queued})


def queue(session: str, operation: str, *, at: float = 0, **more: Any) -> Record:
    """A queue operation: enqueue, dequeue, remove or popAll."""
    record = {"type": "queue-operation", "operation": operation, "sessionId": session}
    return {**record, "timestamp": instant(at), **more}


def local_command(session: str, content: str, *, at: float = 0, **more: Any) -> Record:
    """A slash command of the terminal, or its output, as a system line."""
    command = {"subtype": "local_command", "content": content, "level": "info", **more}
    return _common(session, "system", at, "/home/u/app", command)


def text(content: str) -> Record:
    """A text block."""
    return {"type": "text", "text": content}


def tool_use() -> Record:
    """A tool_use block."""
    return {"type": "tool_use", "id": "toolu_01", "name": "Bash", "input": {"command": "ls"}}


def tool_result(content: str = "total 0") -> Record:
    """A tool_result block."""
    return {"type": "tool_result", "tool_use_id": "toolu_01", "content": content}


def thinking() -> Record:
    """A thinking block."""
    return {"type": "thinking", "thinking": "Let me see.", "signature": "c2ln"}


def image() -> Record:
    """An image block."""
    return {"type": "image", "source": {"type": "base64", "data": "iVBORw0KGgo="}}


def raw(record: Record) -> bytes:
    """The record as one line of bytes, without its newline."""
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()


def joined(*records: Record) -> bytes:
    """The records as whole lines."""
    return b"".join(raw(record) + b"\n" for record in records)


def new_session() -> str:
    """A session id."""
    return str(uuid.uuid4())
