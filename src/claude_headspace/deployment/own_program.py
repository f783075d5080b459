"""The command by which this installation is called, by people and by services."""

from __future__ import annotations

import shutil
import sysconfig
from contextlib import suppress
from pathlib import Path

from claude_headspace.config.places import NAME


def own_program() -> Path:
    """The command of this installation, by the name on the path that an upgrade keeps, if any."""
    own = Path(sysconfig.get_path("scripts")) / NAME
    found = shutil.which(NAME)
    with suppress(OSError):
        if found and Path(found).samefile(own):
            return Path(found)
    return own


def own_command() -> str:
    """What to type for it here."""
    program = str(own_program())
    return NAME if program == shutil.which(NAME) else program
