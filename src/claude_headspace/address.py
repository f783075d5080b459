"""Addresses of databases: checking them, converting them for libpq, and masking their secrets.

Every message about an address is made here: the driver's own would quote the part that it cannot
parse, which may be the password. Imports nothing, because every program needs it.
"""

from __future__ import annotations

import re
from pathlib import Path

SCHEMES = ("postgresql://", "postgres://", "postgresql+psycopg2://", "postgresql+psycopg://")
SECRETS = ("password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key")
MASK = "***"

_SCHEME = re.compile(r"^postgres(ql)?(\+\w+)?://")
_PARTS = re.compile(
    r"(?:(?P<user>[^:/?]*)(?::(?P<password>[^/]*))?@)?"
    r"(?P<hosts>[^/?@]*)(?:/(?P<name>[^?]*))?(?:\?(?P<query>.*))?",
    re.DOTALL,
)
_HOST = re.compile(r"(?:\[[^\]]+\]|[^:\[\]]*)(?::(?P<port>.*))?", re.DOTALL)
_SPELLING = "in a name or password : / @ ? % and space are written %3A %2F %40 %3F %25 %20"
_SECRET_NAMES = "|".join(SECRETS)
_IN_QUERY = re.compile(rf"(?<![\w])((?:{_SECRET_NAMES})\s*=\s*)('(?:[^'\\]|\\.)*'|[^&\s]*)")
_IN_MAPPING = re.compile(rf"(['\"](?:{_SECRET_NAMES})['\"]\s*:\s*)('[^']*'|\"[^\"]*\"|[^,}}]*)")


class LogUrl(str):  # noqa: SLOT000
    """The log's address; `seen` is the folder that records the servers reached through it."""

    seen: Path | None = None


def address_fault(url: str) -> str | None:
    """What is wrong with a database address, without quoting it; None if nothing is."""
    if not url.startswith(SCHEMES):
        return "must be a postgresql:// address"
    fault = _fault_of_parts(_SCHEME.sub("", url))
    return fault and f"must be an address that libpq can read: {fault}; {_SPELLING}"


def _fault_of_parts(rest: str) -> str | None:
    if re.search(r"%(?![0-9A-Fa-f]{2})|%00", rest):
        return "every % must begin a code such as %25"
    if re.search(r"\s", rest):
        return "it contains a space"
    parts = _PARTS.fullmatch(rest)
    if parts is None or "@" in (parts["name"] or ""):
        return "it has a / or an @ in the wrong place"
    if not all(map(_is_host, parts["hosts"].split(","))):
        return "a port must be a number, and a host name must not contain brackets"
    pairs = parts["query"].split("&") if parts["query"] else []
    if any(pair.count("=") != 1 for pair in pairs):
        return "the part after the ? must be name=value&name=value"
    return None


def _is_host(text: str) -> bool:
    host = _HOST.fullmatch(text)
    return host is not None and (not host["port"] or host["port"].isdecimal())


def libpq_url(url: str) -> str:
    """The address in the form that every libpq reads in the same way."""
    rest = _SCHEME.sub("", url)
    parts = _PARTS.fullmatch(rest)
    if parts is not None and parts["user"] is not None:
        end = parts.start("hosts") - 1
        rest = rest[:end].replace("@", "%40") + rest[end:]
    return f"postgresql://{rest}" if _SCHEME.match(url) else url


def mask_password(text: str | None) -> str | None:
    """The same text with the passwords of database addresses in it replaced by `***`."""
    if text is None:
        return None
    masked = re.sub(r"(://[^:/@\s]*:)[^\s]*@", rf"\1{MASK}@", text)
    masked = _IN_QUERY.sub(rf"\1{MASK}", masked)
    return _IN_MAPPING.sub(rf"\1{MASK}", masked)


def shown_address(url: object) -> str:
    """A safe description of an address that cannot be read."""
    if not isinstance(url, str):
        return f"a value of type {type(url).__name__}"
    scheme, separator, _ = url.partition("://")
    return f"{scheme}://{MASK}" if separator and scheme.isascii() else "no address"


def told_by_driver(error: BaseException) -> str:
    """The driver's message about a failed connection, on one line and without secrets."""
    told = " ".join(str(error).split()) or type(error).__name__
    if told.startswith("invalid dsn"):
        return "the address of the database cannot be read: see database.url"
    return str(mask_password(told))
