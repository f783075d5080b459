"""The SQL of docs/growing.md, run as it is there."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg2

PAGE = Path(__file__).resolve().parents[1] / "docs" / "growing.md"


def statements(heading: str) -> list[str]:
    """The blocks of SQL of a section of the page."""
    section = PAGE.read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"```sql\n(.*?)```", section, re.DOTALL)


def run(url: str, block: str) -> None:
    """As psql does: each statement by itself, and those between BEGIN and COMMIT together."""
    connection = psycopg2.connect(url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        if block.startswith("BEGIN"):
            cursor.execute(block)
        else:
            for statement in re.split(r";\n", block.strip()):
                cursor.execute(statement)
    connection.close()
