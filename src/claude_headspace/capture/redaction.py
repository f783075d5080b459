"""What was read, as it may be stored."""

from __future__ import annotations

import msgspec

from claude_headspace.events.redaction import Redactor, redact_bytes, redact_work
from claude_headspace.transcripts.outcomes import Other, Outcome, Turn


class Redaction:
    """Takes secrets out of what lines say; nothing where there is no redactor."""

    def __init__(self, redactor: Redactor | None) -> None:
        self._redactor = redactor

    def turn(self, turn: Turn) -> Turn:
        """A turn, with how many secrets were taken out of it."""
        if self._redactor is None:
            return turn
        text, redacted = self._redactor.redact(turn.text)
        return msgspec.structs.replace(turn, text=text, redacted=redacted) if redacted else turn

    def outcome(self, outcome: Outcome) -> Outcome:
        """Whatever a record turned out to be."""
        if self._redactor is None or not isinstance(outcome, Turn | Other):
            return outcome
        if outcome.work is not None and outcome.work.calls:
            work = redact_work(self._redactor, outcome.work)
            outcome = msgspec.structs.replace(outcome, work=work)
        return self.turn(outcome) if isinstance(outcome, Turn) else outcome

    def text(self, text: str) -> str:
        """Any other text."""
        return text if self._redactor is None else self._redactor.redact(text)[0]

    def content(self, content: bytes) -> bytes:
        """The content of a line that is rejected."""
        return redact_bytes(self._redactor, content)
