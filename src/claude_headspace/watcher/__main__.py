"""`python -m claude_headspace.watcher`."""

from __future__ import annotations

import os
import signal
import sys

if __name__ == "__main__":
    # Until the watcher handles signals there is nothing to finish, so a signal stops it at once.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))

    from claude_headspace.supervision.single_watcher import Unguarded, check_guarded

    try:
        check_guarded()
    except Unguarded as error:
        print(f"the watcher cannot run: {error}", file=sys.stderr)
        sys.exit(error.exit_status)

    from claude_headspace.watcher.process import main

    sys.exit(main())
