"""The record of an undamaged line, decoded as far as necessary."""

from __future__ import annotations

from typing import Any

import msgspec

ABSENT = msgspec.Raw(b"")


class MessageOrigin(msgspec.Struct):
    """The author of a message in newer clients: `human`, or the kind of a program."""

    kind: str | None = None


class ForkedFrom(msgspec.Struct):
    """The session whose line this one repeats."""

    sessionId: str | None = None  # noqa: N815


class Block(msgspec.Struct):
    """One block of a message's content; the input and output of a tool stay undecoded."""

    type: str = ""
    text: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = ABSENT
    tool_use_id: str | None = None
    is_error: bool | None = None
    content: msgspec.Raw = ABSENT


Content = str | list[Block | str] | None


class MessageBody(msgspec.Struct):
    """The part of a message that shows whether it is a turn, and its tokens."""

    content: Content = None
    id: str | None = None
    model: str | None = None
    usage: msgspec.Raw = ABSENT
    stop_reason: Any = None


class Attachment(msgspec.Struct):
    """A client's attachment; `prompt` is what a person typed while the agent worked."""

    type: str | None = None
    prompt: Content = None
    commandMode: str | None = "prompt"  # noqa: N815
    isMeta: bool | None = None  # noqa: N815
    origin: MessageOrigin | str | None = None


class _AttachmentType(msgspec.Struct):
    type: str | None = None


class Record(msgspec.Struct):
    """The needed fields of a record; raw parts are decoded only where they matter."""

    type: str | None = None
    message: msgspec.Raw = ABSENT
    attachment: msgspec.Raw = ABSENT
    uuid: str | None = None
    parentUuid: str | None = None  # noqa: N815
    sessionId: str | None = None  # noqa: N815
    requestSessionId: str | None = None  # noqa: N815
    timestamp: str | None = None
    cwd: str | None = None
    agentId: str | None = None  # noqa: N815
    promptSource: str | None = None  # noqa: N815
    entrypoint: str | None = None
    userFeedback: str | None = None  # noqa: N815
    origin: MessageOrigin | str | None = None
    forkedFrom: ForkedFrom | None = None  # noqa: N815
    isSidechain: bool | None = None  # noqa: N815
    isMeta: bool | None = None  # noqa: N815
    isCompactSummary: bool | None = None  # noqa: N815
    isVisibleInTranscriptOnly: bool | None = None  # noqa: N815
    isVirtual: bool | None = None  # noqa: N815
    isApiErrorMessage: bool | None = None  # noqa: N815
    holdsPersonsWords: bool | None = None  # noqa: N815


class Details(msgspec.Struct):
    """Fields of the few records without a message or attachment to decode.

    Separate from `Record`, because each of its fields costs time with every line.
    """

    content: Any = None
    reason: msgspec.Raw = ABSENT
    subtype: str | None = None
    operation: str | None = None
    leafUuid: str | None = None  # noqa: N815
    customTitle: str | None = None  # noqa: N815
    aiTitle: str | None = None  # noqa: N815
    agentName: str | None = None  # noqa: N815
    summary: str | None = None

    @property
    def text(self) -> str | None:
        """The content, if it is a text."""
        return text_or_none(self.content)


# The further fields of each type of record.
Body = MessageBody | Attachment | Details | None


class Undecodable(Exception):
    """Quick decoding failed; use `take_apart`."""


_decode_record = msgspec.json.Decoder(Record).decode
_decode_message = msgspec.json.Decoder(MessageBody).decode
_decode_attachment_type = msgspec.json.Decoder(_AttachmentType).decode
_decode_attachment = msgspec.json.Decoder(Attachment).decode
_decode_details = msgspec.json.Decoder(Details).decode
_FAILURES = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
# The type of attachment with what a person typed.
QUEUED_PROMPT = "queued_command"
WITH_MESSAGE = frozenset({"user", "assistant"})
WITH_DETAILS = frozenset(
    {"system", "queue-operation", "custom-title", "ai-title", "summary", "agent-name"}
)


def quick_record(line: bytes) -> Record | None:
    """The record of an undamaged line; None if `take_apart` must be used."""
    try:
        return _decode_record(line)
    except _FAILURES:
        return None


def quick_body(record: Record, line: bytes) -> Body:
    """The body of an undamaged record. Raises Undecodable if `take_apart` must be used."""
    kind = record.type
    try:
        if kind in WITH_MESSAGE:
            return MessageBody() if record.message == ABSENT else _decode_message(record.message)
        if kind == "attachment":
            return _quick_attachment(record)
        return _decode_details(line) if kind in WITH_DETAILS else None
    except _FAILURES as error:
        raise Undecodable from error


def _quick_attachment(record: Record) -> Attachment:
    if record.attachment == ABSENT:
        return Attachment()
    if _decode_attachment_type(record.attachment).type != QUEUED_PROMPT:
        return Attachment()
    return _decode_attachment(record.attachment)


def text_or_none(value: Any) -> str | None:
    """The value, if it is a text."""
    return value if isinstance(value, str) else None
