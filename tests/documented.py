"""The commands in the blocks of the documents, each as it would be typed into a shell."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from commands_page import PAGES

# What runs a program of ours: at the beginning of a line, or in an argument.
OURS = re.compile(
    r"(?:\w+=\S+ )*(?:(?:\.venv/bin/)?claude-headspace|supervisorctl|deploy/\w+|ps)(?: |$)"
    r"|[^`]*\$\(claude-headspace"
)


def documented_commands() -> list[str]:
    """Every command of ours once, in the order of the pages."""
    pages = [page.read_text() for page in PAGES]
    found = [each for page in pages for block in _blocks(page) for each in _commands(block)]
    return list(dict.fromkeys(found))


def _blocks(text: str) -> Iterator[list[str]]:
    """Lines of each indented or fenced block, without their indentation."""
    block: list[str] = []
    fenced = False
    for line in [*text.splitlines(), "end"]:
        fence = line.startswith("```")
        if (fenced or line.startswith("    ")) and not fence:
            block.append(line if fenced else line[4:])
        elif block and (fence or line):
            yield block
            block = []
        fenced ^= fence


def _commands(block: list[str]) -> Iterator[str]:
    """Of a block with prompts, only what follows them is typed."""
    prompted = any(line.startswith("$ ") for line in block)
    lines = iter(block)
    for line in lines:
        typed = line.removeprefix("$ ") if prompted else line.strip()
        if OURS.match(typed) and (not prompted or line.startswith("$ ")):
            while not _is_whole(typed):
                typed += "\n" + next(lines)
            yield re.sub(r"\s+#\s.*", "", typed)


def _is_whole(typed: str) -> bool:
    try:
        shlex.split(typed, comments=True)
    except ValueError:
        return False
    return not typed.endswith(("\\", "|"))
