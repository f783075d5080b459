"""Answers requests of deploy/environment.py; runs inside .venv."""

from __future__ import annotations

import sys

from claude_headspace.deployment.launch import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
