"""What a check is asked to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO
from uuid import UUID


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """What to check, whether to write what is missing, and how to say it.

    `yes`: write without asking. `everything`: the text lists sessions too that are whole.
    """

    session: UUID | None = None
    repair: bool = False
    yes: bool = False
    json: bool = False
    everything: bool = False


def agreed(plan: Sequence[str], options: VerifyOptions, terminal: TextIO, answers: TextIO) -> bool:
    """Whether the user agrees to what would be written."""
    if options.yes:
        return True
    terminal.write("To repair the log:\n" + "".join(f"- {each}\n" for each in plan))
    terminal.write("Events that were deleted from the log on purpose will come back.\n")
    if not answers.isatty():
        return False
    terminal.write("Do this? [y/N] ")
    terminal.flush()
    return answers.readline().strip().lower() in ("y", "yes")
