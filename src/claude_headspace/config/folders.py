"""Where an installation has its files: in its checkout, or in the platform's folders."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from claude_headspace.errors import ConfigError

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
    return _folder_of_user("config", "XDG_CONFIG_HOME", ".config")


def default_state(config_file: Path | None) -> str:
    """The default state directory: `var` beside the file, or the platform's data folder."""
    directory = config_directory()
    if checkout() or (config_file and config_file.parent != directory):
        return "var"
    return str(_folder_of_user("data", "XDG_DATA_HOME", ".local/share"))


def _folder_of_user(kind: str, variable: str, on_linux: str) -> Path:
    if sys.platform == "linux":  # the same as below, which takes longer to load than all of ours
        given = Path(os.environ.get(variable, ""))
        found = (given if given.is_absolute() else expanded(f"~/{on_linux}")) / NAME
    else:
        import platformdirs

        found = getattr(platformdirs, f"user_{kind}_path")(NAME, appauthor=False)
    return found


def expanded(text: str, environ: Mapping[str, str] = os.environ) -> Path:
    """The path with `~` replaced by the home directory; raises ConfigError if there is none."""
    home = environ.get("HOME")
    if home and (text == "~" or text.startswith("~/")):
        return Path(home + text[1:])
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        told = "no home directory is known for it: write the whole path, or set HOME"
        raise ConfigError([f"{text}: {told}"]) from error
