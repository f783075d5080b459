"""What documents say of commands, and what the commands say of themselves."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

import click
import pytest

import claude_headspace.errors
from claude_headspace.cli.program import EPILOG, NAME, SECTIONS, build_program
from commands_page import MARK, PAGE, called_in, commands, documented_calls, reference, words_of

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = ROOT / "src" / "claude_headspace" / "web" / "templates"
OFFERED = re.compile(r"command\('claude-headspace ([^']+)'( ~)?")


def examples() -> list[tuple[str, list[str]]]:
    return [
        (name, words_of(call))
        for name, context in commands().items()
        for line in (context.command.epilog or "").splitlines()
        for call in called_in(f"    {line.strip()}")
    ]


def parse(words: list[str]) -> None:
    """Raise what is wrong with a command line, without running anything."""
    context = build_program().make_context(NAME, list(words))
    while isinstance(context.command, click.Group):
        left = [*context._protected_args, *context.args]
        if not left:
            assert context.command.invoke_without_command
            return
        name, command, rest = context.command.resolve_command(context, left)
        assert command is not None
        context = command.make_context(name, rest, parent=context)


def test_the_reference_is_what_the_commands_say() -> None:
    told = PAGE.read_text().partition(MARK)[2]
    assert told == f"\n{reference()}", "run `python tests/commands_page.py`"


def test_every_section_has_commands_and_every_command_one_section() -> None:
    named = [name for names in SECTIONS.values() for name in names]
    assert len(named) == len(set(named))
    assert set(named) == {name.split(" ")[0] for name in commands() if name}


@pytest.mark.parametrize(("page", "words"), documented_calls(), ids=str)
def test_every_command_line_in_the_documents_is_understood(page: str, words: list[str]) -> None:
    # A command may be named without what it needs; --help ends the parsing.
    bare = [click.MissingParameter] if len(words) == 1 else []
    with suppress(click.exceptions.Exit, *bare):
        parse(words)


@pytest.mark.parametrize(("name", "words"), examples(), ids=str)
def test_every_example_of_a_help_calls_its_command(name: str, words: list[str]) -> None:
    assert not name or " ".join(words).startswith(name)
    with suppress(click.exceptions.Exit):
        parse(words)


def test_every_command_that_the_page_offers_is_understood() -> None:
    pages = [page.read_text() for page in TEMPLATES.glob("*.html")]
    offered = [found for page in pages for found in OFFERED.findall(page)]
    assert len(offered) > 3
    for call, with_session in offered:
        parse([*call.split(), *(["9d440bfc"] if with_session else [])])


def test_exit_statuses_are_those_of_the_errors_and_of_the_documents() -> None:
    told = set(map(int, re.findall(r"^  (\d+) ", EPILOG, re.MULTILINE)))
    table = (ROOT / "docs" / "operations.md").read_text().partition("## Exit statuses")[2]
    documented = {
        int(number)
        for row in re.findall(r"^\| ([\d, ]+) \|", table.partition("\n## ")[0], re.MULTILINE)
        for number in row.split(",")
    }
    raised = {
        each.exit_status
        for each in vars(claude_headspace.errors).values()
        if isinstance(each, type) and issubclass(each, claude_headspace.errors.HeadspaceError)
    }
    assert raised <= told <= documented
