"""The conversation of a session: on the terminal, as Markdown or as JSON."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from claude_headspace.cli.access import configured, open_reader
from claude_headspace.cli.command import command, flag, json_output, named_session
from claude_headspace.cli.naming import known_session
from claude_headspace.cli.sessions import resuming, short_path, state_of
from claude_headspace.cli.terminal import (
    cut,
    local_time,
    paint,
    print_json,
    printable,
    terminal_width,
    wrapped,
    zone,
    zone_told,
)

if TYPE_CHECKING:
    from claude_headspace.read.connection import Reader
    from claude_headspace.read.exchange import ConversationItem
    from claude_headspace.read.sessions import Session

_WHO = {"prompt": "You", "answer": "Claude", "thought": "Claude, thinking", "declining": "You"}
_COLOURS = {"prompt": "cyan", "answer": "green", "thought": "magenta", "declining": "cyan"}


@command(
    "show",
    "claude-headspace show 6f1d0a7e",
    "claude-headspace show fix the lint --tools --markdown > lint.md",
)
@named_session
@flag("--tools", "also show the input and output of tools, and subagents' calls")
@flag("--thinking", "also show thinking, where the transcript has it")
@flag("--markdown", "print Markdown")
@json_output("one JSON object per turn or tool call")
def show(session: str, *, tools: bool, thinking: bool, markdown: bool, in_json: bool) -> int:
    """Show the conversation of a session.

    On a terminal the text is wrapped and shown in $PAGER. Each tool call is one line; --tools shows
    more. Times are in this machine's time zone.
    """
    with open_reader(configured()) as reader:
        found = known_session(reader, session)
        said = conversation(reader, found, tools=tools, thinking=thinking)
        if in_json:
            print_json(each.fields() for each in said)
        elif markdown:
            for text in as_markdown(found, said):
                print(text, end="")
        else:
            _print_paged(_as_text(found, said))
    return 0


def conversation(
    reader: Reader, found: Session, *, tools: bool = False, thinking: bool = False
) -> Iterator[ConversationItem]:
    """What was said and done in a session, read page by page."""
    from claude_headspace.read.conversation import read_page
    from claude_headspace.read.exchange import Wanted, items_of
    from claude_headspace.read.lines import Transcripts
    from claude_headspace.read.outline import read_outline

    files = Transcripts(reader)
    outline = read_outline(reader, found.id)
    telling = Wanted(files if tools else None, found.directory, thinking, subagents=tools)
    looked_at = files if tools or thinking else None
    for number in range(max(1, len(outline.pages))):
        for exchange in read_page(reader, found.id, outline, number, looked_at):
            yield from items_of(exchange, telling)


def as_markdown(found: Session, said: Iterator[ConversationItem]) -> Iterator[str]:
    """The conversation as a Markdown document, in pieces."""
    began = local_time(found.started_at)
    yield f"# {printable(found.title or found.uuid)}\n\n"
    yield f"Session {found.uuid}, {printable(found.project)}, {began}; {zone()}.\n"
    last = ""
    for each in said:
        text = "\n".join(wrapped(each.text.strip(), None))
        if each.kind == "tool":
            yield ("" if last == "tool" else "\n") + f"- `{each.tool}` {_code(each.line)}\n"
            for detail in filter(None, (each.given, each.answer)):
                yield f"\n{_fenced(detail)}\n"
        else:
            yield f"\n## {_WHO[each.kind]}, {local_time(each.at)}\n\n{text}\n"
        last = each.kind


def _code(line: str) -> str:
    """As a code block, whatever backticks the text contains."""
    line = printable(line)
    fence = "``" if "`" in line else "`"
    return f"{fence}{line}{fence}" if line else ""


def _fenced(text: str) -> str:
    fence = "````" if "```" in text else "```"
    return "\n".join([fence, *wrapped(text, None), fence])


def _as_text(found: Session, said: Iterator[ConversationItem]) -> Iterator[str]:
    width = terminal_width()
    yield _lines([paint(line, bold=True) for line in wrapped(found.title or found.uuid, width)])
    about = f"{found.uuid}, {state_of(found)}, {short_path(found.project)}"
    yield _lines([*wrapped(about, width), resuming(found), *zone_told()])
    last = ""
    for each in said:
        if each.kind == "tool":
            yield _lines([*([""] if last != "tool" else []), *_tool_lines(each, width)])
        else:
            who = f"{_WHO[each.kind]}  {local_time(each.at)}"
            yield _lines(["", paint(who, fg=_COLOURS[each.kind], bold=True)])
            yield _text_of(each, width)
        last = each.kind


def _tool_lines(each: ConversationItem, width: int | None) -> Iterator[str]:
    indent = "  " * (1 + each.depth)
    line = cut(f"{indent}{each.tool}  {each.line}", width)
    yield paint(line, fg="red") if each.outcome == "error" else paint(line, dim=True)
    for detail in filter(None, (each.given, each.answer)):
        yield from wrapped(detail, width, f"{indent}  | ")


def _text_of(each: ConversationItem, width: int | None) -> str:
    """Claude's Markdown is rendered on a terminal; all other text stays as it is."""
    if width is None or each.kind != "answer":
        return _lines(wrapped(each.text.strip(), width, "  "))
    import io

    from rich.console import Console
    from rich.markdown import Markdown
    from rich.padding import Padding

    text = "\n".join(wrapped(each.text, None))
    page = io.TextIOWrapper(io.BytesIO(), sys.stdout.encoding, "replace", "\n")
    console = Console(
        file=page, width=width, force_terminal=True, no_color=bool(os.environ.get("NO_COLOR")),
        legacy_windows=False,
    )  # fmt: skip
    console.print(Padding(Markdown(text), (0, 0, 0, 2)))
    page.seek(0)
    return _lines([line.rstrip() for line in page])


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _print_paged(pieces: Iterator[str]) -> None:
    """Use the pager on a terminal; it ends by itself if everything fits on the screen."""
    import click

    os.environ.setdefault("LESS", "FRX")
    # Ctrl-C belongs to the pager while it runs, and must not end this process, which feeds it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    click.echo_via_pager(pieces)
