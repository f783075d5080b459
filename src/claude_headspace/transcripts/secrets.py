"""Removing secrets from what was read before it is stored."""

from __future__ import annotations

import msgspec

from claude_headspace.config.settings import PrivacySettings
from claude_headspace.events.event import Event
from claude_headspace.events.redaction import (
    Redactor,
    make_redactor,
    redact_bytes,
    redact_event,
    redact_work,
)
from claude_headspace.transcripts.parsed import Other, Parsed, Turn


class Redaction:
    """Removes secrets from lines, if there is a redactor."""

    def __init__(self, redactor: Redactor | None) -> None:
        self.redactor = redactor

    @classmethod
    def of(cls, privacy: PrivacySettings) -> Redaction:
        """The redaction that the configuration asks for."""
        return cls(make_redactor(privacy.patterns) if privacy.redact else None)

    def turn(self, turn: Turn) -> Turn:
        """A turn without secrets, and their number."""
        if self.redactor is None:
            return turn
        text, redacted = self.redactor.redact(turn.text)
        return msgspec.structs.replace(turn, text=text, redacted=redacted) if redacted else turn

    def parsed(self, parsed: Parsed) -> Parsed:
        """A parsed record without secrets."""
        if self.redactor is None or not isinstance(parsed, Turn | Other):
            return parsed
        if parsed.work is not None and parsed.work.calls:
            work = redact_work(self.redactor, parsed.work)
            parsed = msgspec.structs.replace(parsed, work=work)
        return self.turn(parsed) if isinstance(parsed, Turn) else parsed

    def event(self, event: Event) -> Event:
        """An event of another program without secrets."""
        return event if self.redactor is None else redact_event(self.redactor, event)

    def text(self, text: str) -> str:
        """Any other text without secrets."""
        return text if self.redactor is None else self.redactor.redact(text)[0]

    def content(self, content: bytes) -> bytes:
        """The content of a rejected line or inbox file without secrets."""
        return redact_bytes(self.redactor, content)
