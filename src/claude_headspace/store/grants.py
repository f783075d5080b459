"""The SQL that gives each role what it needs of the log, and no more."""

from __future__ import annotations

import re
from pathlib import Path

from claude_headspace.errors import BadQuestion

OWNER = "claude_headspace_owner"
WRITER = "claude_headspace_writer"
READER = "claude_headspace_reader"
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")


def grants(*, owner: str = OWNER, writer: str = WRITER, reader: str = READER, schema: str) -> str:
    """Statements for one transaction; they may be run again. Raises BadQuestion for odd names."""
    names = {"owner": owner, "writer": writer, "reader": reader, "schema": schema}
    statements = Path(__file__).with_name("grants.sql").read_text("utf-8")
    for word, name in names.items():
        if not _NAME.fullmatch(name):
            raise BadQuestion(
                word, f"{name!r} is not a plain name: use only lower-case letters, digits and _"
            )
        statements = statements.replace(f"{{{word}}}", name)
    return statements
