"""Logging: lines on standard error, which supervisord writes to files and rotates."""

from __future__ import annotations

import logging
import sys

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def configure_logging(level: str) -> None:
    """Configure logging; call this once, from a program's entry point."""
    logging.basicConfig(level=level, format=FORMAT, stream=sys.stderr, force=True)
    logging.getLogger("watchdog").setLevel(logging.WARNING)
