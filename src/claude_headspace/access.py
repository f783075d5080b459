"""Access to the log over HTTP, for those who can read the state directory.

Programs send a token. A browser gets a cookie by a link that works once. The token and the links
are files that only the owner of the state directory can read.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import time
from contextlib import suppress
from pathlib import Path

from claude_headspace.errors import StateUnusable

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
        fresh = path.with_suffix(f".{os.getpid()}-{secrets.token_hex(4)}")
        _write_private(fresh, secrets.token_urlsafe(_TOKEN_BYTES))
        _put_in_place(fresh, path, replace=renew)
        return _read_private(path)
    except OSError as error:
        raise StateUnusable(f"{path} cannot be used: {error.strerror or error}") from error


def new_link_code(state_directory: Path) -> str:
    """A code that `redeem` accepts once, within an hour."""
    code = secrets.token_urlsafe(_TOKEN_BYTES)
    folder = state_directory / LINKS_DIRECTORY
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _remove_old(folder)
        _write_private(folder / _name_of(code), "")
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
            raise StateUnusable(
                f"{path} is readable by others: remove it, and a new one is created"
            )
        return path.read_text("ascii").strip()
    except FileNotFoundError:
        return ""


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(text)


def _put_in_place(fresh: Path, path: Path, *, replace: bool) -> None:
    """Rename the file into place; without `replace`, the first of two concurrent callers wins."""
    if replace:
        fresh.replace(path)
        return
    with suppress(FileExistsError):
        os.link(fresh, path)
    fresh.unlink()


def _name_of(code: str) -> str:
    return hashlib.sha256(code.encode("utf-8", "replace")).hexdigest()


def _remove_old(folder: Path) -> None:
    for path in folder.iterdir():
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > LINK_SECONDS:
                path.unlink()
