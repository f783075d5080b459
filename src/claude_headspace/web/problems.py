"""Problems with requests, in the one form that the whole API uses."""

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

_AWAY = "see `claude-headspace status`; capture may continue"
_SLOW = "narrow the query, for example to a shorter time"


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
    """The problem that an error of ours means to a client."""
    if isinstance(error, BadQuestion):
        return Problem(400, "bad_request", str(error), "see /api/openapi.json")
    if isinstance(error, DatabaseRefused):
        return Problem(400, "bad_request", str(error), "see /api/openapi.json")
    if isinstance(error, SelectionError):
        return Problem(404, "not_found", str(error), "/api/sessions lists all sessions")
    if isinstance(error, QuestionTooLong):
        return Problem(504, "too_long", str(error), _SLOW)
    if isinstance(error, DatabaseError):
        return Problem(503, "database_unavailable", str(error), _AWAY)
    return Problem(500, "failed", str(error), _AWAY)
