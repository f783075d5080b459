"""Answers requests of deploy/environment.py; runs inside .venv."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from claude_headspace.config import load_config
from claude_headspace.deployment.stop import is_up
from claude_headspace.errors import ConfigError, HeadspaceError

NOT_RUNNING = 3


def main(arguments: Sequence[str]) -> int:
    """`check` prints which database is configured, `running` exits with 0 or 3."""
    try:
        config = load_config()
        if list(arguments) == ["check"]:
            print("other" if config.database.url else "embedded")
            return 0
        pid = is_up(config)
    except ConfigError as error:
        print("The configuration has mistakes:", *error.problems, sep="\n  ", file=sys.stderr)
        return error.exit_status
    except HeadspaceError as error:
        print(f"deploy: {error}", file=sys.stderr)
        return error.exit_status
    return 0 if pid else NOT_RUNNING


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
