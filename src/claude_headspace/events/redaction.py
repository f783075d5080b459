"""Removing keys, tokens and passwords from text before it is stored.

All built-in patterns take time in proportion to the text, whatever the text is: each begins at a
literal that its own repetitions cannot match, or at a boundary that a run has only once, and a
repetition that may fail is bounded or ends at that literal. A token includes everything that could
be part of it, so that its replacement cannot start another match.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from claude_headspace.events.event import Event
from claude_headspace.events.work import Work

REDACTION_MARK = re.compile(r"\[redacted:[^\]\s]+\]")
_NO_NEWLINE = re.compile(r"[^\n]")
_TYPES_OF_SOURCE_CODE = frozenset(
    ("any", "bool", "bytes", "int", "none", "null", "optional", "secretstr", "str", "string")
)


@dataclass(frozen=True, slots=True)
class SecretPattern:
    """The pattern of one kind of secret.

    If the expression has named groups, the one that matched is replaced, else the whole match.
    `hints` are lower-case literals; a text that contains none of them cannot match and is not
    searched. Without hints every text is searched. `accepts` can refuse a match.
    """

    kind: str
    expression: re.Pattern[str]
    hints: tuple[str, ...] = ()
    accepts: Callable[[re.Match[str]], bool] | None = None


class Redactor:
    """Replaces matches of its patterns by `[redacted:<kind>]`."""

    def __init__(self, patterns: Sequence[SecretPattern]) -> None:
        self._patterns = tuple(patterns)

    def redact(self, text: str, filler: str | None = None) -> tuple[str, int]:
        """Return the text without its secrets, and how many were replaced.

        With `filler`, it replaces each of their characters but newlines.
        """
        lowered = text.lower()
        total = 0
        for pattern in self._patterns:
            if not pattern.hints or any(hint in lowered for hint in pattern.hints):
                text, count = _replace(pattern, text, filler)
                total += count
        return text, total


def redact_bytes(redactor: Redactor | None, content: bytes) -> bytes:
    """Any content without secrets; unchanged without a redactor."""
    if redactor is None:
        return content
    return redactor.redact(content.decode("utf-8", "replace"))[0].encode()


def redact_work(redactor: Redactor, work: Work) -> Work:
    """The agent's work, without the secrets in the inputs of tools."""
    calls = tuple(
        msgspec.structs.replace(call, input=redact_json(redactor, bytes(call.input)))
        for call in work.calls
    )
    return msgspec.structs.replace(work, calls=calls)


def redact_json(redactor: Redactor, content: bytes) -> bytes:
    """JSON: first each string, where secrets are not escaped; then everything, names included."""
    try:
        value = msgspec.json.decode(content)
        after = _redact_value(redactor, value)
        content = content if after == value else msgspec.json.encode(after)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pass
    return redact_bytes(redactor, content)


def _redact_value(redactor: Redactor, value: Any) -> Any:
    if isinstance(value, str):
        return redactor.redact(value)[0]
    if isinstance(value, dict):
        return {key: _redact_value(redactor, item) for key, item in value.items()}
    return [_redact_value(redactor, item) for item in value] if isinstance(value, list) else value


def _replace(pattern: SecretPattern, text: str, filler: str | None) -> tuple[str, int]:
    pieces: list[str] = []
    done = 0
    for match in pattern.expression.finditer(text):
        start, end = match.span(match.lastgroup or 0)
        if start == end or REDACTION_MARK.fullmatch(text, start, end):
            continue
        if pattern.accepts is None or pattern.accepts(match):
            mark = f"[redacted:{pattern.kind}]"
            if filler:
                mark = _NO_NEWLINE.sub(filler, text[start:end])
            pieces += (text[done:start], mark)
            done = end
    if not pieces:
        return text, 0
    return "".join((*pieces, text[done:])), len(pieces) // 2


def _is_assigned_secret(match: re.Match[str]) -> bool:
    """Tell an assigned secret from a call, a look-up or the name of a type in source code."""
    value = match[match.lastgroup or 0]
    if match[0][:5].lower() == "token":
        return len(value) >= 16 and any(character.isdigit() for character in value)
    if match.lastgroup != "bare":
        return len(value) >= 3
    called = match.string.startswith(("(", "["), match.end())
    return len(value) >= 4 and not called and value.lower() not in _TYPES_OF_SOURCE_CODE


def _token(kind: str, expression: str, *hints: str) -> SecretPattern:
    return SecretPattern(kind, re.compile(rf"(?<![A-Za-z0-9]){expression}"), hints)


_PRIVATE_KEY = re.compile(
    r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
    # The whole key, or, if its end is missing, the lines that can only be part of a key.
    r"(?:[^-]*(?:-(?!----)[^-]*){0,64}-----END (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
    r"|(?:(?:\s|\\[nr]){0,8}[A-Za-z0-9+/=]{40,}){1,400})"
)
_URL_PASSWORD = re.compile(
    r"(?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]{1,30}://[^\s/@:'\"<>]{0,256}:"
    r"(?P<password>[^\s/'\"<>]+)@"
)
_AUTHORIZATION = re.compile(
    r"(?i:(?<![a-z0-9])(?:authorization[\"'\\]{0,4}\s{0,4}[:=]\s{0,4}[\"'\\]{0,4}"
    r"(?:bearer|basic|digest|token)|bearer))\s{1,4}(?P<credential>[A-Za-z0-9._~+/=-]{20,})"
)
_ASSIGNMENT = re.compile(
    r"(?i:passw(?:or)?d|passphrase|pwd|secret(?:[_-]?key|[_-]?token)?|api[_-]?key"
    r"|(?:access|private|signing|account|encryption)[_-]?key"
    r"|(?:access|auth|refresh|session|bot|api|id)[_-]?token|(?<![a-z0-9])token)"
    r"[\"'\\]{0,4}\s{0,8}[:=]{1,2}>?\s{0,8}"
    r"(?:\"(?P<double>[^\"\\\n]*(?:\\.[^\"\\\n]*){0,200})"
    r"|'(?P<single>[^'\\\n]*(?:\\.[^'\\\n]*){0,200})"
    r"|\\{1,3}[\"'](?P<nested>[^\"'\\\n]+)"
    r"|(?P<bare>[^\s\"'\\`,;<>(){}\[\]$&|]+))"
)

READY_MADE = (
    SecretPattern("private_key", _PRIVATE_KEY, ("private key",)),
    _token("aws_access_key", r"(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])", "akia", "asia"),
    _token("github_token", r"gh[pousr]_[A-Za-z0-9]{30,}", "ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
    _token("github_token", r"github_pat_[A-Za-z0-9_]{22,}", "github_pat_"),
    _token("gitlab_token", r"glpat-[A-Za-z0-9_-]{20,}", "glpat-"),
    _token("slack_token", r"xox[a-z]-[A-Za-z0-9-]{10,}", "xox"),
    _token("slack_token", r"xapp-[A-Za-z0-9-]{10,}", "xapp-"),
    _token("slack_webhook", r"hooks\.slack\.com/services/[A-Za-z0-9/]{20,}", "hooks.slack.com"),
    _token("google_key", r"AIza[A-Za-z0-9_-]{35,}", "aiza"),
    _token("google_token", r"ya29\.[A-Za-z0-9_-]{20,}", "ya29."),
    _token("anthropic_key", r"sk-ant-[A-Za-z0-9_-]{16,}", "sk-ant-"),
    _token("openai_key", r"sk-(?:proj|svcacct|admin|or)-[A-Za-z0-9_-]{16,}", "sk-"),
    _token("openai_key", r"sk-[A-Za-z0-9]{20,}", "sk-"),
    _token("stripe_key", r"[rs]k_(?:live|test)_[A-Za-z0-9]{10,}", "k_live_", "k_test_"),
    _token("stripe_key", r"whsec_[A-Za-z0-9+/=]{20,}", "whsec_"),
    _token("npm_token", r"npm_[A-Za-z0-9]{30,}", "npm_"),
    _token("pypi_token", r"pypi-[A-Za-z0-9_-]{50,}", "pypi-"),
    _token("huggingface_token", r"hf_[A-Za-z0-9]{30,}", "hf_"),
    SecretPattern(
        "jwt",
        re.compile(r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
        ("eyj",),
    ),
    SecretPattern("authorization", _AUTHORIZATION, ("bearer", "authorization")),
    SecretPattern("url_password", _URL_PASSWORD, ("://",)),
    SecretPattern(
        "password",
        _ASSIGNMENT,
        ("passw", "passphrase", "pwd", "secret", "key", "token"),
        _is_assigned_secret,
    ),
)


def make_redactor(more_patterns: Sequence[str]) -> Redactor:
    """A redactor with the built-in patterns and the user's own regular expressions."""
    own = tuple(SecretPattern("custom", re.compile(pattern)) for pattern in more_patterns)
    return Redactor(READY_MADE + own)


# Fields with few values that programs rely on: a user's pattern might match one of them.
_CHOICES = frozenset(
    {"actor", "source", "reason", "trigger", "from_state", "to_state", "hook_type",
     "notification_type", "prompt_source", "entrypoint"}
)  # fmt: skip


def redact_event(redactor: Redactor, event: Event) -> Event:
    """The event without the secrets in its texts, annotated; identifiers stay."""
    payload = dict(event.payload)
    total = 0
    for name, value in event.payload.items():
        identifies = name in _CHOICES or name.endswith(("_id", "_uuid", "_timestamp"))
        if isinstance(value, str) and not identifies:
            payload[name], count = redactor.redact(value)
            total += count
    return replace(event, payload=payload).annotated(redacted=total) if total else event
