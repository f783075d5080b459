"""supervisord's event listener protocol over two file descriptors, with limited waits."""

from __future__ import annotations

import os
import select
from collections.abc import Sequence
from dataclasses import dataclass

_READY = b"READY\n"
_OK = b"RESULT 2\nOK"


@dataclass(frozen=True, slots=True)
class SupervisorEvent:
    """One event: `values` are the words of the payload's first line, `body` is the rest."""

    name: str
    serial: int
    values: dict[str, str]
    body: str


class EventStream:
    """Reads and acknowledges events; supervisord sends one at a time."""

    def __init__(self, read_from: int, write_to: int) -> None:
        self._read_from = read_from
        self._write_to = write_to
        self._buffer = b""

    def ready(self) -> None:
        """Ask for an event."""
        os.write(self._write_to, _READY)

    def done(self) -> None:
        """Acknowledge the event read last."""
        os.write(self._write_to, _OK)

    def has_input(self) -> bool:
        """Whether supervisord has sent data that is not read yet."""
        return bool(self._buffer) or self._wait(0)

    def read(self, timeout_seconds: float, others: Sequence[int] = ()) -> SupervisorEvent | None:
        """The next event; None if none begins in time, or another descriptor is readable first.

        Raises EOFError at the end.
        """
        if not self._buffer and not self._wait(timeout_seconds, others):
            return None
        while b"\n" not in self._buffer:
            self._fill()
        header, _, rest = self._buffer.partition(b"\n")
        fields = _words(header.decode())
        length = int(fields["len"])
        while len(rest) < length:
            self._fill()
            rest = self._buffer[len(header) + 1 :]
        self._buffer = rest[length:]
        return _event(fields, rest[:length].decode("utf-8", "replace"))

    def _wait(self, timeout_seconds: float, others: Sequence[int] = ()) -> bool:
        waited_for = (self._read_from, *others)
        readable, _, _ = select.select(waited_for, (), (), max(0.0, timeout_seconds))
        return self._read_from in readable

    def _fill(self) -> None:
        data = os.read(self._read_from, 65536)
        if not data:
            raise EOFError("supervisord has closed the event stream")
        self._buffer += data


def _event(fields: dict[str, str], payload: str) -> SupervisorEvent:
    first, _, body = payload.partition("\n")
    return SupervisorEvent(fields["eventname"], int(fields["serial"]), _words(first), body)


def _words(line: str) -> dict[str, str]:
    pairs = (word.partition(":") for word in line.split())
    return {name: value for name, _, value in pairs}
