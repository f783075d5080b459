"""The id of this machine: created once in the state directory, independent of its host name."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path
from uuid import UUID, uuid4

from msgspec import Struct

from claude_headspace.errors import StateUnusable

MACHINE_FILE = "machine"
# Earlier versions stored the host name of their watcher here.
NAME_FILE = "host"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """The id of this boot of the machine; empty if the system has none."""
    with suppress(OSError):
        return _BOOT_ID.read_text("ascii").strip()
    return ""


class Holder(Struct, frozen=True):
    """The holder of a lease: a watcher, by the boot of its system and its state directory."""

    hostname: str
    boot: str
    directory: str
    device: int
    inode: int

    @classmethod
    def here(cls, state: Path) -> Holder:
        """This process; the state directory must exist."""
        stat = state.stat()
        directory = os.fsencode(state).decode("utf-8", "backslashreplace")
        return cls(socket.gethostname(), boot_id(), directory, stat.st_dev, stat.st_ino)

    def is_apart_from(self, other: Holder) -> bool:
        """Whether they are certainly two directories, not one seen twice or after a new boot."""
        same_boot = self.boot == other.boot != ""
        return self.inode != other.inode or (same_boot and self.device != other.device)


def machine_id(state: Path) -> str | None:
    """The id in this state directory; None if no watcher has run."""
    if text := _read(state / MACHINE_FILE):
        try:
            return str(UUID(text))
        except ValueError:
            raise StateUnusable(
                f"{state / MACHINE_FILE} contains no machine id but {text[:60]!r}: restore the id"
                " (`claude-headspace hosts --json` lists all ids), or remove the file to become a"
                " new machine, which reads everything again"
            ) from None
    name = _read(state / NAME_FILE)
    return id_of_name(name) if name else None


def id_of_name(name: str) -> str:
    """The id that the migration gave to a host name, since rows used to belong to names."""
    import hashlib  # few programs need it, and it loads a library

    return str(UUID(hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()))


def make_machine_id(state: Path) -> str:
    """The id in this state directory, created if missing; concurrent callers get the same one."""
    if not (state / MACHINE_FILE).exists():
        _write(state, machine_id(state) or str(uuid4()), replace=False)
    made = machine_id(state)
    if made is None:
        raise StateUnusable(f"{state / MACHINE_FILE} is empty: remove it")
    return made


def renew_machine_id(state: Path) -> str:
    """A new id for a state directory that turned out to be a copy of another."""
    _write(state, str(uuid4()), replace=True)
    return make_machine_id(state)


def _write(state: Path, text: str, *, replace: bool) -> None:
    path = state / MACHINE_FILE
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_once(path, f"{text}\n", replace=replace)
    except OSError as error:
        raise StateUnusable(f"{path} cannot be written: {error}") from error


def write_once(path: Path, text: str, *, replace: bool = False) -> None:
    """Write a file that only its owner can read; without `replace`, that of the first caller stays.

    Raises OSError.
    """
    fresh = path.with_name(f"{path.name}.{uuid4()}.tmp")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    with suppress(FileExistsError):
        fresh.replace(path) if replace else os.link(fresh, path)
    fresh.unlink(missing_ok=True)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise StateUnusable(f"{path} cannot be read: {error}") from error
