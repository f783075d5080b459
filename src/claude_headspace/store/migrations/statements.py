"""Running the SQL files of migrations."""

from __future__ import annotations

from pathlib import Path

from alembic import op


def run(name: str, **words: str) -> None:
    """Run all statements of a file, in order; `words` replace their names in braces."""
    statements = (Path(__file__).parent / "sql" / name).read_text("utf-8")
    for word, value in words.items():
        statements = statements.replace(f"{{{word}}}", value)
    op.execute(statements)
