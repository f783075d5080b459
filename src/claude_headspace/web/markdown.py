"""Markdown of a transcript as harmless HTML: anybody may have written the text.

HTML is escaped, images are not loaded, and links lead only to http and https.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from html import escape
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

LONGEST = 200_000
_SPECIAL = re.compile(
    r"[\\`*_{}\[\]<>#|~&\t]|https?:|^\s*(?:[-+*]|\d+[.)]) |^ {4}|^\s*[-=]{2,}\s*$", re.MULTILINE
)
_MARKS = re.compile(r"\s+|```\w*|\*\*|^#+ ", re.MULTILINE)
_SAFE_LINK = re.compile(r"https?://", re.IGNORECASE)


@lru_cache(maxsize=2048)
def rendered(text: str) -> Markup:
    """The text as HTML; the rest of a very long text stays plain."""
    if not _SPECIAL.search(text):
        parts = (part.strip("\n") for part in re.split(r"\n{2,}", text))
        return Markup("".join(f"<p>{escape(part)}</p>" for part in parts if part))
    rest = escape(text[LONGEST:])
    tail = f'<pre tabindex="0">{rest}</pre>' if rest else ""
    return Markup(_parser().render(text[:LONGEST]) + tail)


@lru_cache(maxsize=1024)
def inline(text: str) -> Markup:
    """One line of Markdown without links and blocks, for use inside a link or a row."""
    parts = re.split(r"`([^`\n]+)`", _MARKS.sub(" ", text).strip())
    return Markup(
        "".join(f"<code>{escape(p)}</code>" if n % 2 else escape(p) for n, p in enumerate(parts))
    )


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    parser = MarkdownIt(
        "commonmark", {"html": False, "linkify": False, "breaks": True, "maxNesting": 20}
    )
    parser.enable(["table", "strikethrough"]).disable(["image", "html_block", "html_inline"])
    parser.validateLink = lambda url: bool(_SAFE_LINK.match(url))  # type: ignore[method-assign]
    rules: dict[str, Any] = parser.renderer.rules  # type: ignore[attr-defined]
    rules |= {
        "fence": _code, "code_block": _code, "heading_open": _heading, "heading_close": _heading,
        "link_open": _link, "table_open": _table, "table_close": _table, "th_open": _cell,
        "td_open": _cell,
    }  # fmt: skip
    return parser


def _code(tokens: Sequence[Token], index: int, *_: Any) -> str:
    """A code block with a copy button, focusable because it may scroll."""
    token = tokens[index]
    name = escape(token.info.split()[0][:30]) if token.info.strip() else ""
    caption = f"<figcaption><b>{name}</b>{_COPY}</figcaption>" if name else _COPY
    label = name or "Code"
    return (
        f'<figure class="code">{caption}<pre tabindex="0" role="group" aria-label="{label}">'
        f"<code>{escape(token.content)}</code></pre></figure>"
    )


_COPY = '<button class="btn bare" type="button" data-copy="code" hidden>Copy</button>'


def _heading(tokens: Sequence[Token], index: int, *_: Any) -> str:
    """Headings of a text begin at the third level, below the page's own."""
    level = "h3" if tokens[index].tag in ("h1", "h2") else "h4"
    return f"<{'' if tokens[index].nesting > 0 else '/'}{level}>"


def _link(tokens: Sequence[Token], index: int, *_: Any) -> str:
    href = escape(str(tokens[index].attrGet("href") or ""))
    return f'<a href="{href}" rel="noopener noreferrer nofollow" target="_blank">'


def _cell(tokens: Sequence[Token], index: int, *_: Any) -> str:
    """A cell without its alignment style, which the page's security policy forbids."""
    return f"<{tokens[index].tag}>"


def _table(tokens: Sequence[Token], index: int, *_: Any) -> str:
    if tokens[index].nesting > 0:
        return '<div class="md-table" tabindex="0" role="group" aria-label="Table"><table>'
    return "</table></div>"
