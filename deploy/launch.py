"""Starts and stops supervisord with everything under it; runs inside .venv."""

from __future__ import annotations

import sys
from pathlib import Path

from claude_headspace.deployment.command import main

if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parent.parent, sys.argv[1:]))
