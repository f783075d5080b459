"""Which requests are answered, and the headers of every answer.

A port of 127.0.0.1 is open to every user of the machine and to every web page in their browsers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from werkzeug.http import parse_cookie

from claude_headspace.embedded.location import state_key
from claude_headspace.errors import StateUnusable
from claude_headspace.web.access_token import cookie_value, redeem, same, token_of
from claude_headspace.web.problems import Problem

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
        " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
# They reveal nothing of the log.
OPEN_PATHS = frozenset({"/health", "/health/live", "/health/ready", "/metrics"})
LINK_PATH = "/open"
STATIC = "/static/"
COOKIE_SECONDS = 90 * 86400
_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_BEARER = "bearer "


class AccessControl:
    """Decides from the headers of a request, whose names are in lower case."""

    def __init__(self, state_directory: Path, own_name: str) -> None:
        self._state = state_directory
        self._names = _LOCAL_NAMES | {own_name.lower()}
        # Cookies ignore ports: each instance on this machine needs a name of its own.
        self.cookie = f"claude_headspace_{state_key(state_directory)[:8]}"

    def refusal(self, path: str, headers: Mapping[str, str]) -> Problem | None:
        """Why a request is not answered; None when it is."""
        host, origin = headers.get("host", ""), headers.get("origin")
        if _name_in(f"//{host}") not in self._names:
            problem = "this server answers only under its own local name"
            return Problem(403, "foreign_host", problem)
        if origin is not None and origin.lower() != f"http://{host.lower()}":
            problem = "only pages of this server may send requests to it"
            return Problem(403, "foreign_origin", problem)
        if path in OPEN_PATHS or path == LINK_PATH or path.startswith(STATIC):
            return None
        try:
            if self.knows(headers):
                return None
        except StateUnusable:  # its message names a path
            told = "the instance's token cannot be read"
            return Problem(503, "no_token", told, "`claude-headspace token` tells why")
        return Problem(
            401,
            "no_token",
            "the instance's token is required",
            "open the page with `claude-headspace open`; a program sends"
            " `Authorization: Bearer $(claude-headspace token)`",
        )

    def knows(self, headers: Mapping[str, str]) -> bool:
        """Whether the request has the token, or a cookie that was given for a link."""
        token = token_of(self._state)
        given = headers.get("authorization", "")
        if given[: len(_BEARER)].lower() == _BEARER:
            return same(given[len(_BEARER) :].strip(), token)
        kept = parse_cookie(headers.get("cookie", "")).get(self.cookie, "")
        return same(kept, cookie_value(token))

    def cookie_for(self, code: str) -> str | None:
        """The cookie for a browser that brings the code of a link, if the code is valid."""
        return cookie_value(token_of(self._state)) if redeem(self._state, code) else None


def _name_in(address: str) -> str:
    try:
        return (urlsplit(address).hostname or "").lower()
    except ValueError:
        return ""
