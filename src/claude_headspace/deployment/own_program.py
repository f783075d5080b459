"""The command that calls this installation, for people and services."""

from __future__ import annotations

import shutil
import sysconfig
from contextlib import suppress
from pathlib import Path

from claude_headspace.config.places import NAME


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
