"""Where an installation has its files: in its checkout, or in the platform's folders."""

from __future__ import annotations

import sys
from pathlib import Path

NAME = "claude-headspace"
_OF_A_CHECKOUT = ("supervisord.conf", "deploy/launch.py")


def checkout() -> Path | None:
    """The clone in whose `.venv` this program runs; None if it was installed in another way."""
    folder = Path(sys.prefix).parent
    return folder if all((folder / name).is_file() for name in _OF_A_CHECKOUT) else None


def config_directory() -> Path:
    """The folder in which `config.yaml` is searched if no variable names a file."""
    if root := checkout():
        return root
    from platformdirs import user_config_path

    return user_config_path(NAME, appauthor=False)


def default_state(config_file: Path | None) -> str:
    """The default state directory: `var` beside the file, or the platform's data folder."""
    directory = config_directory()
    if checkout() or (config_file and config_file.parent != directory):
        return "var"
    from platformdirs import user_data_path

    return str(user_data_path(NAME, appauthor=False))
