"""The watcher as a process: put together, run, and ended in order."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from claude_headspace.config import Config, load_config
from claude_headspace.errors import HeadspaceError, StateUnusable
from claude_headspace.logs import configure_logging
from claude_headspace.supervision.orphan import LOCK_NAME, OneWatcher, die_with_parent
from claude_headspace.watcher.assembly import Watcher

logger = logging.getLogger("claude_headspace.watcher")


def _make(config: Config, is_orphaned: Callable[[], bool]) -> Watcher:
    try:
        return Watcher(config, is_orphaned)
    except OSError as error:
        directory = config.state.directory
        raise StateUnusable(
            f"{directory} cannot be written to: {error}: make room or set another state.directory"
        ) from error


@contextlib.contextmanager
def _only_one(directory: Path) -> Iterator[None]:
    """Hold the lock of this state directory, or raise AlreadyRunning."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = OneWatcher(directory / LOCK_NAME)
    lock.acquire()
    try:
        yield
    finally:
        lock.release()


def main() -> int:
    """Run the watcher; returns the exit status."""
    os.umask(0o077)
    is_orphaned = die_with_parent()
    try:
        config = load_config()
        configure_logging(config.logging.level)
        with _only_one(config.state.directory):
            _make(config, is_orphaned).run()
    except HeadspaceError as error:
        configure_logging("INFO")
        logger.error("the watcher cannot work: %s", error)  # noqa: TRY400
        return error.exit_status
    return 0
