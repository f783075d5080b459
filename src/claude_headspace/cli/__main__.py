"""`python -m claude_headspace.cli`."""

from __future__ import annotations

import sys

from claude_headspace.cli import main

sys.exit(main())
