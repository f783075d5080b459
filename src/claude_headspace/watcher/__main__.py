"""`python -m claude_headspace.watcher`."""

from __future__ import annotations

import sys

from claude_headspace.watcher.process import main

sys.exit(main())
