"""The user of the server: Postgres refuses root, so root runs it as an ordinary system user."""

from __future__ import annotations

import os
import pwd
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from claude_headspace.errors import EmbeddedServerError

_CANDIDATES = ("postgres", "_postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Owner:
    """The system user that owns the data and runs the server."""

    name: str
    uid: int
    gid: int

    @property
    def borrowed(self) -> bool:
        """Whether privileges must be dropped to become this user."""
        return self.uid != os.getuid()

    def can_use(self, paths: Sequence[Path]) -> bool:
        """Whether this user can reach and read all the paths; found by trying."""
        if not self.borrowed:
            return all(map(_usable, paths))
        child = os.fork()
        if child == 0:
            status = 1
            try:
                self.become()
                status = 0 if all(map(_usable, paths)) else 1
            finally:
                os._exit(status)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    def become(self) -> None:
        """Make this process run as the user, for good."""
        if self.borrowed:
            os.setgroups([])
            os.setgid(self.gid)
            os.setuid(self.uid)

    def subprocess_options(self) -> dict[str, object]:
        """Arguments for subprocess to start a program as this user."""
        if not self.borrowed:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def choose_owner(existing: Path | None) -> Owner:
    """The owner of existing data, else ourselves, else (as root) an ordinary system user."""
    uid = os.getuid()
    if existing is not None:
        found = existing.stat().st_uid
        if uid not in (0, found):
            try:
                name = f"user {pwd.getpwuid(found).pw_name}"
            except KeyError:
                name = f"user id {found}"
            raise EmbeddedServerError(
                f"{existing} belongs to {name}: run as that user, or use another state.directory"
            )
        return _owner(found)
    if uid:
        return _owner(uid)
    return _system_user()


def _usable(path: Path) -> bool:
    return os.access(path, os.X_OK if path.is_dir() else os.R_OK)


def _system_user() -> Owner:
    for name in _CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid:
            return Owner(name, entry.pw_uid, entry.pw_gid)
    raise EmbeddedServerError(
        "Postgres refuses to run as root and there is no user postgres or nobody: create one"
    )


def _owner(uid: int) -> Owner:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError as error:
        raise EmbeddedServerError(
            f"user id {uid} has no name on this machine, and Postgres needs one"
        ) from error
    return Owner(entry.pw_name, uid, entry.pw_gid)
