"""The oracle's reading of one line of a transcript: what it says, if it says anything."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

WRAPPERS = ("ide_opened_file", "ide_selection", "ide_diagnostics", "system-reminder")
NOT_TYPED = [
    "<local-command-stdout>",
    "<local-command-stderr>",
    "<local-command-caveat>",
    "<bash-stdout>",
    "<bash-stderr>",
    "<bash-notification>",
    "<task-notification>",
    "<teammate-message>",
    "<agent-message>",
    "<user-prompt-submit-hook>",
    "Caveat: The messages below were generated",
    "[Request interrupted by user",
    "[SYSTEM NOTIFICATION",
    "Stop hook feedback:",
    "UserPromptSubmit hook additional context:",
]
INJECTED_FLAGS = (
    "isMeta",
    "isCompactSummary",
    "isVisibleInTranscriptOnly",
    "isVirtual",
    "isSidechain",
)
TYPED_SOURCES = ("typed", "queued", "sdk", "suggestion_accepted")
COMMAND_STARTS = ("<command-name>", "<command-message>", "<bash-input>")
INTERNAL_AGENTS = ("acompact", "aprompt_suggestion", "aside_question")
PASTE = r"<pasted_content(?P<id>\s[^>]*)>(?P<pasted>.*?)</pasted_content((?P=id))?>"
COMMAND = re.compile(
    r"(<command-message>[^<]*</command-message>\s*)?<command-name>[^<]*</command-name>"
    r"(\s*<command-message>[^<]*</command-message>)?(\s*<command-args>.*</command-args>)?"
    r"|<bash-input>.*</bash-input>",
    re.DOTALL,
)

Record = dict[str, Any]


def said(record: Record) -> str | None:
    """The words of a turn, or nothing."""
    kind, message = record.get("type"), record.get("message")
    if kind == "assistant" and isinstance(message, dict):
        return _answered(record, message)
    if kind == "attachment" and isinstance(record.get("attachment"), dict):
        return _attached({**record, **record["attachment"]})
    if any(record.get(flag) for flag in INJECTED_FLAGS):
        return None
    if kind == "user":
        return _prompted(record, message if isinstance(message, dict) else {})
    if kind == "system" and record.get("subtype") == "local_command":
        typed = text_of(record.get("content")).strip()
        return _command(typed) if typed.startswith(COMMAND_STARTS) else None
    return None


def _answered(record: Record, message: Record) -> str | None:
    notice = record.get("isApiErrorMessage") or message.get("model") == "<synthetic>"
    internal = str(record.get("agentId", "")).startswith(INTERNAL_AGENTS)
    answer = text_of(message.get("content"))
    return answer if answer.strip() and not notice and not internal else None


def _prompted(record: Record, message: Record) -> str | None:
    parts = [_typed(record, text_of(message.get("content")))]
    feedback = record.get("userFeedback")
    if record.get("holdsPersonsWords") and isinstance(feedback, str):
        parts.append(feedback.strip())
    return "\n".join(part for part in parts if part)


def _attached(attachment: Record) -> str | None:
    """The words of a prompt that a person queued."""
    person = (
        attachment.get("type") == "queued_command"
        and attachment.get("commandMode", "prompt") == "prompt"
        and _origin(attachment) in (None, "human")
        and not attachment.get("isMeta")
        and not attachment.get("isSidechain")
    )
    return _only_command_or_words(text_of(attachment.get("prompt"))) if person else None


def _origin(record: Record) -> Any:
    origin = record.get("origin")
    return origin.get("kind") if isinstance(origin, dict) else origin


def _typed(record: Record, text: str) -> str | None:
    """What a person typed, if a person did."""
    kind, source = _origin(record), record.get("promptSource")
    if kind not in (None, "human") or source == "system":
        return None
    if source in TYPED_SOURCES:
        return as_typed(text)
    if kind == "human":
        return _only_command_or_words(text)
    bare = unwrapped(text, WRAPPERS).strip()
    if is_injected(bare):
        return None
    if bare.startswith(COMMAND_STARTS):
        return _command(bare) or bare
    return without_paste_tags(bare)


def _only_command_or_words(text: str) -> str:
    words = as_typed(text)
    return (COMMAND.fullmatch(words) and _command(words)) or words


def as_typed(text: str) -> str:
    """The text without what the editor and the terminal put around it."""
    return without_paste_tags(unwrapped(text, WRAPPERS[:3]).strip())


def is_injected(text: str) -> bool:
    """Whether the text begins as only a program's does."""
    return any(
        re.match(re.escape(start[:-1]) + r"(\s[^>]*)?>", text)
        if start.endswith(">")
        else text.startswith(start)
        for start in NOT_TYPED
    )


def text_of(content: Any) -> str:
    """The words of a string, or of a list of blocks."""
    if not isinstance(content, list):
        return content if isinstance(content, str) else ""
    texts = [
        block.get("text") if isinstance(block, dict) and block.get("type") == "text" else block
        for block in content
    ]
    return "\n".join(text for text in texts if isinstance(text, str) and text.strip())


def unwrapped(text: str, wrappers: Iterable[str] = WRAPPERS) -> str:
    """The text without the blocks that programs wrap around it; pastes stay whole."""
    names = "|".join(wrappers)
    block = re.compile(rf"{PASTE}|<(?P<name>{names})(\s[^>]*)?>.*?</(?P=name)>", re.DOTALL)
    return block.sub(lambda found: "" if found["name"] else found[0], text)


def without_paste_tags(text: str) -> str:
    """The text with what was pasted, but not the tags around it; its ends are stripped."""
    return re.sub(PASTE, lambda found: found["pasted"], text, flags=re.DOTALL).strip()


def _command(typed: str) -> str | None:
    """The command as somebody typed it; nothing if its tags are not closed or hold no words."""
    if typed.startswith("<bash-input>") and "</bash-input>" in typed:
        return "! " + _inside(typed, "bash-input").strip()
    if "</command-name>" not in typed.partition("<command-name>")[2]:
        return None
    name = typed.partition("<command-name>")[2].partition("</command-name>")[0]
    return f"{name.strip()} {_inside(typed, 'command-args').strip()}".strip()


def _inside(text: str, tag: str) -> str:
    """What is between the first opening tag and the last closing one, if both are there."""
    return text.partition(f"<{tag}>")[2].rpartition(f"</{tag}>")[0]
