"""The watcher as a process: assembled, run, and stopped cleanly."""

from __future__ import annotations

import ctypes
import gc
import logging
import os
from collections.abc import Callable

from claude_headspace.config import Config, load_config
from claude_headspace.errors import HeadspaceError, StateUnusable
from claude_headspace.hooks.settings_file import settings_paths, warnings
from claude_headspace.logs import configure_logging
from claude_headspace.supervision.single_watcher import die_with_parent, only_watcher
from claude_headspace.watcher.assembly import Parts
from claude_headspace.watcher.loop import Loop

logger = logging.getLogger("claude_headspace.watcher")

# glibc's own initial value. It would rise with every larger block that is freed: then buffers of a
# megabyte lie in the heap, between small objects, and what they leave behind is not given back.
PAGES_OF_ITS_OWN_BYTES = 128 * 1024
_M_MMAP_THRESHOLD = -3


def _give_back_large_blocks() -> None:
    """Let each large block have pages of its own, which the system gets back when it is freed."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, PAGES_OF_ITS_OWN_BYTES)


def _make(config: Config, is_orphaned: Callable[[], bool]) -> Parts:
    try:
        return Parts(config, is_orphaned)
    except OSError as error:
        directory = config.state.directory
        raise StateUnusable(
            f"{directory} cannot be written: {error}: free space or set another state.directory"
        ) from error


def _run(config: Config, parts: Parts) -> None:
    """Capture until a signal; returns when everything in flight is stored."""
    loop = Loop(parts)
    parts.stop.listen()
    projects = ", ".join(str(path) for path in config.claude.projects_path)
    logger.info("start: pid %d, capturing %s", os.getpid(), projects)
    for danger in warnings(settings_paths(config.claude.projects_path)):
        logger.warning("%s", danger)
    parts.heartbeat.become("starting")
    # Imported modules stay; garbage collection need not examine them again.
    gc.collect()
    gc.freeze()
    try:
        loop.run()
    finally:
        parts.heartbeat.become("stopping", parts.stop.signal)
        parts.notifier.stop()
        parts.log.database.close()
        parts.heartbeat.finish()
    parts.summary.tell()
    logger.info("stop: %s", parts.stop.signal)


def main() -> int:
    """Run the watcher; returns the exit status."""
    os.umask(0o077)
    _give_back_large_blocks()
    is_orphaned = die_with_parent()
    try:
        config = load_config()
        configure_logging(config.logging.level)
        with only_watcher(config.state.directory):
            _run(config, _make(config, is_orphaned))
    except HeadspaceError as error:
        configure_logging("INFO")
        logger.error("the watcher cannot run: %s", error)  # noqa: TRY400
        return error.exit_status
    return 0
