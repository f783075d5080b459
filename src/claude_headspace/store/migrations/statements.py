"""Statements of migrations, which stand in files of SQL beside this."""

from __future__ import annotations

from pathlib import Path

from alembic import op


def run(name: str) -> None:
    """Run all statements of a file, in order."""
    op.execute((Path(__file__).parent / "sql" / name).read_text("utf-8"))
