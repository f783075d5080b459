"""Preparing the state directory for supervisord, and its configuration file."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from claude_headspace.config import Config
from claude_headspace.config.places import checkout
from claude_headspace.deployment.own_program import own_command
from claude_headspace.embedded.cluster import make_directory, make_passable
from claude_headspace.embedded.location import (
    SUPERVISOR_SOCKET,
    is_private,
    supervisor_socket,
)
from claude_headspace.errors import HeadspaceError, StateUnusable

NAME = "supervisord.conf"
# Characters with a meaning in supervisord's configuration: expansions, comments, quotes.
_UNFIT = re.compile(r"[%;\"\\\n]|\s#")


def configuration_file(state: Path) -> Path:
    """The configuration file of supervisord and supervisorctl for this state directory."""
    root = checkout()
    if root and state == root / "var" and supervisor_socket(state).parent == state:
        return root / NAME
    return state / NAME


def supervisorctl(config: Config, arguments: Sequence[str]) -> NoReturn:
    """Replace this process with supervisorctl for the instance of this configuration."""
    file = configuration_file(config.state.directory)
    if not file.exists():
        raise HeadspaceError(f"{file} does not exist yet: run `{own_command()} up` first")
    command = [sys.executable, "-I", "-m", "supervisor.supervisorctl", "-c", str(file)]
    os.execv(command[0], [*command, *arguments])  # noqa: S606


def prepare(state: Path) -> Path:
    """Create the folders that supervisord needs; return its configuration file."""
    _require_fit(state, "set another state.directory")
    _require_fit(Path(sys.executable), "install the program elsewhere")
    try:
        return _made(state)
    except OSError as error:
        raise StateUnusable(f"the state directory cannot be used: {error}") from error


def _made(state: Path) -> Path:
    state.parent.mkdir(parents=True, exist_ok=True)
    make_passable(state)
    make_directory(state / "log", 0o700)
    socket = supervisor_socket(state)
    if socket.parent != state:
        make_directory(socket.parent, 0o700)
        if not is_private(socket.parent, os.getuid()):
            raise HeadspaceError(f"{socket.parent} belongs to another user: remove it")
    target = configuration_file(state)
    if target.parent == state:
        _write(target, socket)
    return target


def _require_fit(path: Path, remedy: str) -> None:
    found = _UNFIT.search(str(path))
    if found:
        raise HeadspaceError(
            f"{path}: supervisord accepts no path that contains {found[0]!r}: move it, or {remedy}"
        )


def _write(target: Path, socket: Path) -> None:
    """The shipped file, or that of the checkout, filled in with the paths of this installation."""
    source = (checkout() or Path(__file__).parent) / NAME
    text = source.read_text("utf-8")
    places = {
        "%(here)s/.venv/bin/python": sys.executable,
        f"%(here)s/var/{SUPERVISOR_SOCKET}": socket,
        "%(here)s/var": target.parent,
    }
    for name, path in places.items():
        text = text.replace(name, str(path))
    target.touch(0o600)
    target.write_text(f"; Generated from {source} at each start.\n{text}", "utf-8")
