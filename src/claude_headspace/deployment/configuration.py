"""Preparing the state directory for supervisord, its configuration file, and our own command."""

from __future__ import annotations

import os
import re
import shutil
import sys
import sysconfig
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from claude_headspace.config import Config
from claude_headspace.config.folders import NAME, checkout
from claude_headspace.embedded.cluster import make_directory, make_passable
from claude_headspace.embedded.location import SUPERVISOR_SOCKET, is_private, supervisor_socket
from claude_headspace.errors import HeadspaceError, StateUnusable

CONFIGURATION_NAME = "supervisord.conf"
# What has a meaning in supervisord's configuration (expansions, comments, quotes) or is no UTF-8.
_UNFIT = re.compile(r"[%;\"\\\n\ud800-\udfff]|\s#")


def own_program() -> Path:
    """The path of this installation's command, if possible one that an upgrade keeps."""
    own = Path(sysconfig.get_path("scripts")) / NAME
    found = shutil.which(NAME)
    with suppress(OSError):
        if found and Path(found).samefile(own):
            return Path(found)
    return own


def own_command() -> str:
    """What to type to call it here."""
    program = str(own_program())
    return NAME if program == shutil.which(NAME) else program


def configuration_file(state: Path) -> Path:
    """The configuration file of supervisord and supervisorctl for this state directory."""
    root = checkout()
    if root and state == root / "var" and supervisor_socket(state).parent == state:
        return root / CONFIGURATION_NAME
    return state / CONFIGURATION_NAME


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
    source = (checkout() or Path(__file__).parent) / CONFIGURATION_NAME
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
