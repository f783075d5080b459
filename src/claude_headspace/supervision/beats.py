"""The watcher's heartbeats: datagrams on a unix socket next to supervisord's.

The guard binds the socket, the watcher sends to its path. Nothing else writes there. Neither
needs the disk, and each can be restarted at any time.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

SUFFIX = ".beats"
LONGEST_BYTES = 4096
_LONGEST_TEXT = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """One heartbeat: what the watcher does, for how long, and how long that may take.

    `overdue` is set by the sender, which knows whether it was itself on time.
    """

    pid: int
    doing: str
    seconds: float
    limit: float
    overdue: bool = False

    def encode(self) -> bytes:
        """One datagram."""
        values = asdict(self) | {"doing": self.doing[:_LONGEST_TEXT]}
        return json.dumps(values).encode()

    @classmethod
    def decode(cls, data: bytes) -> Beat | None:
        """The beat, or None for anything else."""
        try:
            return msgspec.convert(json.loads(data), cls)
        except ValueError:
            return None


def beats_path() -> Path | None:
    """The socket of the guard that watches this process; None without a supervisord.

    supervisord tells its programs the path of its own socket, in a short and private directory.
    """
    url = os.environ.get("SUPERVISOR_SERVER_URL", "")
    return Path(url.removeprefix("unix://")).with_suffix(SUFFIX) if url[:7] == "unix://" else None


class BeatSender:
    """Sends without waiting, whether or not anybody listens."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def __call__(self, beat: Beat) -> None:
        """Never raises: a guard that is away or busy only misses a beat."""
        with suppress(OSError):
            self._socket.sendto(beat.encode(), self._path)

    def close(self) -> None:
        """Release the socket."""
        self._socket.close()


def beat_sender() -> BeatSender | None:
    """To the guard of the supervisord that started this process, if there is one."""
    path = beats_path()
    return None if path is None else BeatSender(path)


class BeatReceiver:
    """The receiving end of the socket."""

    def __init__(self, path: Path) -> None:
        """Raises OSError when the socket cannot be made."""
        self._path = path
        self._socket = self._bind()

    def fileno(self) -> int:
        """Readable when a beat has come."""
        return self._socket.fileno()

    def beats(self) -> Iterator[Beat]:
        """The beats received by now, oldest first."""
        with suppress(BlockingIOError):
            while True:
                if beat := Beat.decode(self._socket.recv(LONGEST_BYTES)):
                    yield beat

    def heal(self) -> bool:
        """Bind again if the path is gone or changed (a cleaned directory); return whether it was.

        Raises OSError if that fails.
        """
        if self._identity() == self._bound:
            return False
        self._socket.close()
        self._socket = self._bind()
        return True

    def close(self) -> None:
        """Close the socket; its path stays for the next one."""
        self._socket.close()

    def _bind(self) -> socket.socket:
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        bound.setblocking(False)
        try:
            self._path.unlink(missing_ok=True)
            bound.bind(str(self._path))
            self._path.chmod(0o600)
        except OSError:
            bound.close()
            raise
        self._bound = self._identity()
        return bound

    def _identity(self) -> tuple[int, int] | None:
        try:
            found = self._path.lstat()
        except OSError:
            return None
        return found.st_dev, found.st_ino
