"""The watcher in a network whose name server never answers."""

from __future__ import annotations

import socket
import sys
import time
from typing import NoReturn


def never(*_: object, **__: object) -> NoReturn:
    while True:
        time.sleep(1000)


def main() -> int:
    socket.getaddrinfo = never
    from claude_headspace.watcher.process import main as watch

    return watch()


if __name__ == "__main__":
    sys.exit(main())
