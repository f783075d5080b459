"""Keeps the heap of the C library small."""

from __future__ import annotations

import ctypes

# glibc's own initial value. It would rise with every larger block that is freed: then buffers of a
# megabyte lie in the heap, between small objects, and what they leave behind is not given back.
PAGES_OF_ITS_OWN_BYTES = 128 * 1024
_M_MMAP_THRESHOLD = -3


def give_back_large_blocks() -> None:
    """Let each large block have pages of its own, which the system gets back when it is freed."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, PAGES_OF_ITS_OWN_BYTES)
