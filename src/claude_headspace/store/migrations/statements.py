"""Migrations as SQL files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from alembic import op


def sql(*names: str, **words: str) -> Callable[[], None]:
    """A step that runs these files in order; `words` replace their names in braces."""

    def run() -> None:
        for name in names:
            statements = (Path(__file__).parent / "sql" / f"{name}.sql").read_text("utf-8")
            for word, value in words.items():
                statements = statements.replace(f"{{{word}}}", value)
            op.execute(statements)

    return run
