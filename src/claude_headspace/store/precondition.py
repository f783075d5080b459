"""The precondition of a write: if it no longer holds, the write is not done."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct


class ReadRow(NamedTuple):
    """A row of `checkpoints` as it was read."""

    id: int
    generation: int
    offset: int
    checksum: int


class Precondition(Struct, frozen=True):
    """What a write is based on, and must not have changed since it was read.

    `connection`: the number of the connection over which it was read; on a later one, recent
    history may be lost. `row`: the checkpoint from which lines were read.
    """

    connection: int
    row: ReadRow | None = None


NOTHING_READ = Precondition(0)
