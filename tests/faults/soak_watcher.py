"""The watcher in a machine that others can make slow: see `SLOW_DISK` and `SILENT_RESOLVER`.

Each is the name of a file in the directory given as argument; while the file is there, looking at
a transcript takes a while, or no name server answers.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

SLOW_DISK = "slow-disk"
SILENT_RESOLVER = "silent-resolver"
# Known to this watcher alone; nobody listens at its address.
NAMED_HOST = "db.example.test"
LOOK_SECONDS = 0.02


def main() -> int:
    directory = Path(sys.argv[1])
    slow, silent = directory / SLOW_DISK, directory / SILENT_RESOLVER
    real = os.stat

    def stat(path: str) -> os.stat_result:
        if str(path).endswith(".jsonl") and slow.exists():
            time.sleep(LOOK_SECONDS)
        return real(path)

    def getaddrinfo(*_: object, **__: object) -> list[tuple[Any, ...]]:
        while silent.exists():
            time.sleep(0.05)
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 1))]

    socket.getaddrinfo = getaddrinfo
    from claude_headspace.discovery import scanner

    scanner.Scanner = partial(scanner.Scanner, look_at=stat)  # type: ignore[misc,assignment]
    from claude_headspace.watcher.process import main as watch

    return watch()


if __name__ == "__main__":
    sys.exit(main())
