"""The text that a person typed, without what programs added around it."""

from __future__ import annotations

import re

from claude_headspace.transcripts.records import Content

_ATTRIBUTES = r"(?:\s[^<>]*)?"
_EDITOR = ("ide_opened_file", "ide_selection", "ide_diagnostics")
# Tags of the editor; in lines without a source, also of the client.
EDITOR_WRAPPERS = re.compile(f"<({'|'.join(_EDITOR)}){_ATTRIBUTES}>")
WRAPPERS = re.compile(f"<({'|'.join((*_EDITOR, 'system-reminder'))}){_ATTRIBUTES}>")
# The client's tags have the number of their paste; others were typed.
_PASTE = re.compile(r"<pasted_content\s[^<>]*>")
_PASTE_END = re.compile(f"</pasted_content{_ATTRIBUTES}>")
_COMMAND_ENDS = ("</command-name>", "</command-message>", "</command-args>", "</bash-input>")
_INJECTED_TAGS = (
    "local-command-stdout", "local-command-stderr", "local-command-caveat", "bash-stdout",
    "bash-stderr", "bash-notification", "task-notification", "teammate-message", "agent-message",
    "user-prompt-submit-hook",
)  # fmt: skip
_INJECTED_STARTS = (
    "Caveat: The messages below were generated",
    "[Request interrupted by user",
    "[SYSTEM NOTIFICATION",
    "Stop hook feedback:",
    "UserPromptSubmit hook additional context:",
)
_INJECTED = re.compile(
    f"<(?:{'|'.join(_INJECTED_TAGS)}){_ATTRIBUTES}>"
    f"|{'|'.join(re.escape(start) for start in _INJECTED_STARTS)}"
)
_TASK = '{"task_id"'


def text_of(content: Content) -> str:
    """The text of a message: its text blocks joined, without blank ones."""
    if not isinstance(content, list):
        return content or ""
    texts = (b if isinstance(b, str) else b.text if b.type == "text" else None for b in content)
    return "\n".join(text for text in texts if text and not text.isspace())


def is_injected(text: str) -> bool:
    """Whether the text begins like that of a program."""
    return _INJECTED.match(text) is not None


def is_pasted(text: str) -> bool:
    """Whether the text begins with a paste."""
    return _PASTE.match(text.lstrip()) is not None


def is_programs(queued: str) -> bool:
    """Whether a queued prompt without further information is a program's."""
    return is_injected(queued) or queued.startswith(_TASK)


def unwrapped(text: str, wrappers: re.Pattern[str]) -> str:
    """The text without injected blocks and tags around pastes, stripped."""
    text, pastes = _PASTE.subn("", _without_blocks(text, wrappers))
    return (_PASTE_END.sub("", text) if pastes else text).strip()


def _without_blocks(text: str, wrappers: re.Pattern[str]) -> str:
    """The text without blocks, in time linear in its length."""
    kept: list[str] = []
    at = 0
    unclosed: set[str] = set()
    for opening in wrappers.finditer(text):
        name = opening[1]
        if opening.start() < at or name in unclosed:
            continue
        closing = _CLOSINGS[name].search(text, opening.end())
        if closing is None:
            unclosed.add(name)
            continue
        kept.append(text[at : opening.start()])
        at = closing.end()
    return "".join(kept) + text[at:]


_CLOSINGS = {name: re.compile(f"</{name}{_ATTRIBUTES}>") for name in (*_EDITOR, "system-reminder")}


def typed_command(text: str) -> str | None:
    """A slash or shell command as the person typed it; None or empty if it is not a command."""
    if text.startswith("<bash-input>"):
        typed = _inside(text, "bash-input")
        return None if typed is None else f"! {typed}"
    if not text.startswith(("<command-name>", "<command-message>")):
        return None
    name, closed, _ = text.partition("<command-name>")[2].partition("</command-name>")
    return f"{name.strip()} {_inside(text, 'command-args') or ''}".strip() if closed else None


def only_command(text: str) -> str | None:
    """The command, if the text contains nothing else; else None."""
    return typed_command(text) if text.endswith(_COMMAND_ENDS) else None


def _inside(text: str, tag: str) -> str | None:
    """The text between the first opening tag and the last closing one; None without them."""
    start = text.find(f"<{tag}>")
    end = text.rfind(f"</{tag}>", start) if start >= 0 else -1
    return text[start + len(tag) + 2 : end].strip() if end >= 0 else None
