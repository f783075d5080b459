"""Access to the log over HTTP, for those who can read the state directory.

Programs send a token. A browser gets a cookie by a link that works once. The token and the links
are files that only the owner of the state directory can read.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from contextlib import suppress
from pathlib import Path

from claude_headspace.errors import START_COMMAND, StateUnusable
from claude_headspace.machine import write_once

TOKEN_FILE = "web-token"  # noqa: S105  a name
LINKS_DIRECTORY = "web-links"
LINK_SECONDS = 3600.0
_TOKEN_BYTES = 32


def token_of(state_directory: Path, *, renew: bool = False) -> str:
    """The token of this instance, created at the first call; `renew` replaces it."""
    path = state_directory / TOKEN_FILE
    try:
        if not renew and (token := _read_private(path)):
            return token
        write_once(path, secrets.token_urlsafe(_TOKEN_BYTES), replace=renew)
        return _read_private(path)
    except (OSError, UnicodeDecodeError) as error:
        begin = f"start everything with `{START_COMMAND}`, as this user"
        why = getattr(error, "strerror", None)
        told = f"{why}; {begin}" if why else "it is damaged: remove it"
        raise StateUnusable(f"{path} cannot be used: {told}") from error


def new_link_code(state_directory: Path) -> str:
    """A code that `redeem` accepts once, within an hour."""
    code = secrets.token_urlsafe(_TOKEN_BYTES)
    folder = state_directory / LINKS_DIRECTORY
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _remove_old(folder)
        (folder / _name_of(code)).touch(0o600, exist_ok=False)
    except OSError as error:
        raise StateUnusable(f"{folder} cannot be written: {error.strerror or error}") from error
    return code


def redeem(state_directory: Path, code: str) -> bool:
    """Whether this code is valid; afterwards it no longer is."""
    path = state_directory / LINKS_DIRECTORY / _name_of(code)
    try:
        fresh = time.time() - path.stat().st_mtime < LINK_SECONDS
        path.unlink()
    except OSError:
        return False
    return fresh


def cookie_value(token: str) -> str:
    """The value of a browser's cookie; it is invalid once the token is replaced."""
    return hmac.new(token.encode(), b"cookie", hashlib.sha256).hexdigest()


def same(given: str, wanted: str) -> bool:
    """Compare secrets in constant time."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode())


def _read_private(path: Path) -> str:
    """The file's text, empty if it does not exist; StateUnusable if others can read it."""
    try:
        if path.stat().st_mode & 0o077:
            told = "is readable by others: remove it, and a new one is created"
            raise StateUnusable(f"{path} {told}")
        return path.read_text("ascii").strip()
    except FileNotFoundError:
        return ""


def _name_of(code: str) -> str:
    return hashlib.sha256(code.encode("utf-8", "replace")).hexdigest()


def _remove_old(folder: Path) -> None:
    for path in folder.iterdir():
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > LINK_SECONDS:
                path.unlink()
