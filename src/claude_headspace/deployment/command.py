"""The command line of deploy/launch.py, and the one place where its errors become a sentence."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from claude_headspace.config import Config, load_config
from claude_headspace.deployment.start import run, say_if_running
from claude_headspace.deployment.stop import stop
from claude_headspace.errors import ConfigError, HeadspaceError

INTERRUPTED = 130
READER_GONE = 141
CANNOT_CREATE = 73
NOT_RUNNING = 3
GOES_ON = "what was started keeps running: stop it with deploy/stop"


def main(root: Path, arguments: Sequence[str]) -> int:
    """Dispatch `check`, `running`, `run [--detach]` and `stop`; returns the exit status."""
    try:
        status = _dispatch(root, *arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        return _reader_gone()
    except KeyboardInterrupt:
        print(f"deploy: interrupted; {GOES_ON}", file=sys.stderr)
        return INTERRUPTED
    except ConfigError as error:
        print("The configuration has mistakes:", *error.problems, sep="\n  ", file=sys.stderr)
        return error.exit_status
    except HeadspaceError as error:
        print(f"deploy: {error}", file=sys.stderr)
        return error.exit_status
    except OSError as error:
        print(f"deploy: the state directory cannot be used: {error}", file=sys.stderr)
        return CANNOT_CREATE
    return status


def _dispatch(root: Path, command: str, *options: str) -> int:
    if command == "check":
        return _check(load_config())
    if command == "running":
        return 0 if say_if_running(load_config()) else NOT_RUNNING
    if command == "stop":
        return _stop(root)
    return run(root, load_config(), detach="--detach" in options)


def _check(config: Config) -> int:
    """Say whether the embedded server is wanted."""
    print("other" if config.database.url else "embedded")
    return 0


def _stop(root: Path) -> int:
    """Stop what works on the configured state; on the default one when that cannot be read."""
    try:
        config = load_config()
    except ConfigError:
        default = root / "var"
        print(f"deploy: the configuration has mistakes; looking in {default}")
        return stop(default, None)
    return stop(config.state.directory, config)


def _reader_gone() -> int:
    """Python would flush standard output once more at its end, and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    print(f"deploy: the output was closed; {GOES_ON}", file=sys.stderr)
    return READER_GONE
