"""What a write rests on: it is not done where that no longer holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class ReadRow(NamedTuple):
    """A row of checkpoints as it was read."""

    id: int
    generation: int
    offset: int
    checksum: int


@dataclass(frozen=True, slots=True)
class Precondition:
    """What was read before a write, and must not have changed when it is made.

    `connection`: the number of the connection to Postgres over which it was read. On a later one
    any suffix of history may be gone. `row`: the checkpoint from which lines were read on.
    """

    connection: int
    row: ReadRow | None = None


NOTHING_READ = Precondition(0)
