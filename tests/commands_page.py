"""The reference part of docs/commands.md, made from the commands themselves.

`python tests/commands_page.py` writes it anew.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click

from claude_headspace.cli.program import NAME, SECTIONS, build_program

PAGE = Path(__file__).resolve().parents[1] / "docs" / "commands.md"
MARK = "<!-- From here on this page is made by tests/commands_page.py. -->\n"
COLUMNS = 98
PAGES = (PAGE.parents[1] / "README.md", *sorted(PAGE.parent.glob("*.md")))
# Of a document's line: what is typed into a shell, of which several may stand behind one another.
_ENDS = re.compile(r"\s(?:\||\|\||&&|>>?|<)\s|\s#\s|;")


def commands() -> dict[str, click.Context]:
    """Every command by the words that call it, in the order of the main help."""
    names = ["-h", "--help"]
    root = click.Context(
        build_program(), info_name=NAME, terminal_width=COLUMNS, help_option_names=names
    )
    return dict(_below("", root))


def _below(name: str, context: click.Context) -> Iterator[tuple[str, click.Context]]:
    yield name, context
    if isinstance(context.command, click.Group):
        for word in context.command.list_commands(context):
            command = context.command.get_command(context, word)
            assert command is not None
            inner = click.Context(command, parent=context, info_name=word)
            yield from _below(f"{name} {word}".strip(), inner)


def reference() -> str:
    """Every command with its help, by section."""
    found = commands()
    parts = []
    for title, names in SECTIONS.items():
        parts.append(f"## {title}\n")
        for name, context in found.items():
            if name.split(" ")[0] in names:
                told = "".join(f"    {line}".rstrip() + "\n" for line in _help(context))
                parts.append(f"### {name}\n\n{told}")
    return "\n".join(parts)


def _help(context: click.Context) -> list[str]:
    return context.get_help().rstrip().splitlines()


def called_in(text: str) -> Iterator[str]:
    """Everything that calls us: lines of blocks, and what stands between backquotes."""
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        typed = [line.strip().removeprefix("$ ")] if re.match(r" {4}|\$ ", line) else []
        for part in [*typed, *re.findall(r"`([^`]+)`", line)]:
            for found in re.finditer(rf"(?:^|\$\(|\s|/){NAME} ", part):
                if part[: found.start()].strip() in ("", "$") or "$(" in found[0] or "=" in part:
                    yield part[found.end() :]


def words_of(call: str) -> list[str]:
    """The arguments of one call, up to what the shell does with it."""
    call = call.partition(")")[0] if call.count(")") > call.count("(") else call
    try:
        return shlex.split(_ENDS.split(f"{call} ")[0])
    except ValueError:  # it goes on in the next line
        return shlex.split(_ENDS.split(f'{call}" ')[0] + "'" * (call.count("'") % 2))


def documented_calls() -> list[tuple[str, list[str]]]:
    return [
        (page.name, words)
        for page in PAGES
        for call in called_in(page.read_text().partition(MARK)[0])
        if (words := words_of(call)) and words[0][0].islower()
    ]


if __name__ == "__main__":
    head, mark, _ = PAGE.read_text().partition(MARK)
    PAGE.write_text(f"{head}{mark or MARK}\n{reference()}")
