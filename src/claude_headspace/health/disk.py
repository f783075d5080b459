"""Whether the disk of the state directory has room: without it nothing can be reported."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

# Less is as good as nothing: a segment of the server's log alone takes 16 MB.
LEAST_BYTES = 1_000_000


def full_disk(directory: Path, ask: Callable[[Path], os.statvfs_result] = os.statvfs) -> str | None:
    """One sentence for a disk that is full; None for one with room, or that cannot be asked."""
    try:
        found = ask(directory)
    except OSError:
        return None
    blocks = found.f_bfree if os.geteuid() == 0 else found.f_bavail
    free = blocks * found.f_frsize
    if free < LEAST_BYTES:
        return f"the disk of {directory} is full ({free // 1000} kB are free): make room"
    files = found.f_ffree if os.geteuid() == 0 else found.f_favail
    if found.f_files and not files:
        return f"the disk of {directory} can hold no more files: remove some"
    return None
