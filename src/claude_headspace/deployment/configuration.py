"""The state directory made ready for supervisord, and the configuration that it starts from."""

from __future__ import annotations

import os
import re
from pathlib import Path

from claude_headspace.embedded.cluster import make_directory, make_passable
from claude_headspace.embedded.location import (
    SUPERVISOR_SOCKET,
    is_private,
    supervisor_socket,
)
from claude_headspace.errors import HeadspaceError

# What supervisord's configuration takes for its own: expansions, comments, quotes.
_UNFIT = re.compile(r"[%;\"\\\n]|\s#")


def prepare(root: Path, state: Path) -> Path:
    """Make the folders that supervisord insists on; return its configuration file."""
    _require_fit(state)
    state.parent.mkdir(parents=True, exist_ok=True)
    os.umask(0o077)
    make_passable(state)
    make_directory(state / "log", 0o700)
    socket = supervisor_socket(state)
    if state == root / "var" and socket.parent == state:
        return root / "supervisord.conf"
    if socket.parent != state:
        make_directory(socket.parent, 0o700)
        if not is_private(socket.parent, os.getuid()):
            raise HeadspaceError(f"{socket.parent} belongs to another user: remove it")
    return _write(root, state, socket)


def _require_fit(path: Path) -> None:
    found = _UNFIT.search(str(path))
    if found:
        raise HeadspaceError(
            f"{path}: supervisord accepts no path that contains {found[0]!r}: move it,"
            " or set another state.directory"
        )


def _write(root: Path, state: Path, socket: Path) -> Path:
    """The project's supervisord.conf with the paths of another state directory."""
    text = (root / "supervisord.conf").read_text("utf-8")
    places = {
        f"%(here)s/var/{SUPERVISOR_SOCKET}": socket,
        "%(here)s/var": state,
        "%(here)s": root,
    }
    for name, path in places.items():
        text = text.replace(name, str(path))
    target = state / "supervisord.conf"
    target.write_text(f"; Made from {root / 'supervisord.conf'} at each start.\n{text}", "utf-8")
    return target
