"""Where an installation has its things: in its checkout, or where the platform keeps them."""

from __future__ import annotations

import sys
from pathlib import Path

NAME = "claude-headspace"
_OF_A_CHECKOUT = ("supervisord.conf", "deploy/launch.py")


def checkout() -> Path | None:
    """The clone whose own `.venv` this program runs from; None where it was installed otherwise."""
    folder = Path(sys.prefix).parent
    return folder if all((folder / name).is_file() for name in _OF_A_CHECKOUT) else None


def config_directory() -> Path:
    """The folder in which `config.yaml` is looked for when no variable names one."""
    if root := checkout():
        return root
    from platformdirs import user_config_path

    return user_config_path(NAME, appauthor=False)


def default_state(config_file: Path | None) -> str:
    """The state directory where none is set: `var` beside the file, or the platform's for data."""
    directory = config_directory()
    if checkout() or (config_file and config_file.parent != directory):
        return "var"
    from platformdirs import user_data_path

    return str(user_data_path(NAME, appauthor=False))
