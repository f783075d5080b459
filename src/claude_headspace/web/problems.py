"""Problems with requests, in the one form that the whole API uses."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Problem:
    """An HTTP status, a name for programs, a sentence, and what to do."""

    status: int
    kind: str
    message: str
    hint: str = ""

    def as_json(self) -> dict[str, Any]:
        """The body of the answer."""
        return {"error": {"kind": self.kind, "message": self.message, "hint": self.hint}}


# The first that applies: the status, the name and the hint.
_PROBLEMS: tuple[tuple[type[HeadspaceError], int, str, str], ...] = (
    (BadQuestion, 400, "bad_request", "see /api/openapi.json"),
    (DatabaseRefused, 400, "bad_request", "see /api/openapi.json"),
    (SelectionError, 404, "not_found", "/api/sessions lists all sessions"),
    (QuestionTooLong, 504, "too_long", "narrow the query, for example to a shorter time"),
    (DatabaseError, 503, "database_unavailable", _AWAY),
    (HeadspaceError, 500, "failed", _AWAY),
)


def problem_of(error: HeadspaceError) -> Problem:
    """The problem that an error of ours means to a client."""
    status, kind, hint = next(each[1:] for each in _PROBLEMS if isinstance(error, each[0]))
    return Problem(status, kind, str(error), hint)
