"""Whether the disk of the state directory has room; checked without writing."""

from __future__ import annotations

import os
from pathlib import Path

LEAST_BYTES = 1_000_000


def disk_problem(directory: Path) -> str:
    """A sentence about a full disk, or nothing."""
    try:
        found = os.statvfs(directory)
    except OSError as error:
        return f"the state directory {directory} cannot be examined: {error.strerror}"
    blocks = found.f_bavail if os.getuid() else found.f_bfree
    if blocks * found.f_frsize < LEAST_BYTES:
        left = blocks * found.f_frsize
        return f"the disk of {directory} is full: {left} bytes are left; free some space"
    if found.f_files and not found.f_ffree:
        return f"the disk of {directory} is full: no more files can be created on it; remove some"
    return ""
