"""Starts watchers fast: one program that has everything imported forks one for each command.

Reads `start CONFIG LOG` from standard input and answers with the pid.
"""

from __future__ import annotations

import os
import signal
import sys

import claude_headspace.watcher.process as process


def become_watcher(config: str, log: str) -> None:
    os.environ["CLAUDE_HEADSPACE_CONFIG"] = config
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 2)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os._exit(process.main())


def main() -> None:
    # The children are reaped by the system.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for command in sys.stdin:
        _, config, log = command.split()
        child = os.fork()
        if child == 0:
            become_watcher(config, log)
        print(child, flush=True)


if __name__ == "__main__":
    main()
