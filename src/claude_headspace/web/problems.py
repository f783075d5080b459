"""What went wrong with a request, in the one form that every answer of the API has."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from claude_headspace.errors import (
    BadQuestion,
    DatabaseError,
    DatabaseRefused,
    HeadspaceError,
    QuestionTooLong,
    SelectionError,
)

_AWAY = "see `claude-headspace status`; capturing may go on"
_SLOW = "ask for less, such as a shorter time"


@dataclass(frozen=True, slots=True)
class Problem:
    """An HTTP status, a name for programs, a sentence, and what to do."""

    status: int
    kind: str
    message: str
    hint: str = ""

    def as_json(self) -> dict[str, Any]:
        """The body of the answer."""
        told = asdict(self)
        del told["status"]
        return {"error": told}


def problem_of(error: HeadspaceError) -> Problem:
    """What an error of ours is to the one who asked."""
    if isinstance(error, BadQuestion):
        return Problem(400, "bad_request", str(error), "/api/openapi.json names what can be asked")
    if isinstance(error, DatabaseRefused):
        return Problem(400, "bad_request", str(error), "/api/openapi.json names what can be asked")
    if isinstance(error, SelectionError):
        return Problem(404, "not_found", str(error), "/api/sessions lists what there is")
    if isinstance(error, QuestionTooLong):
        return Problem(504, "too_long", str(error), _SLOW)
    if isinstance(error, DatabaseError):
        return Problem(503, "database_unavailable", str(error), _AWAY)
    return Problem(500, "failed", str(error), _AWAY)
