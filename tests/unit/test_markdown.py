"""Markdown of a transcript comes out as HTML that can do nothing."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_headspace.web.markdown import inline, rendered

ALLOWED = {
    "p", "h3", "h4", "ul", "ol", "li", "blockquote", "pre", "code", "em", "strong", "s", "a", "br",
    "hr", "div", "table", "thead", "tbody", "tr", "th", "td", "figure", "figcaption", "b", "button",
}  # fmt: skip
HARMLESS = {
    "class", "type", "data-copy", "hidden", "tabindex", "role", "aria-label", "href", "rel",
    "target", "start",
}  # fmt: skip
PIECES = [
    "<script>",
    "</p>",
    "<img src=x onerror=y>",
    "[a](javascript:b)",
    "![a](http://b/c)",
    "`",
    "```",
    "<http://ok.example>",
    '[a](http://b "c")',
    "&lt;",
    "&#60;script&#62;",
    "\n",
    "\n\n",
    "# ",
    "- ",
    "1. ",
    "> ",
    "|",
    ":--|--:\n",
    "**",
    "_",
    "~~",
    "a",
    " ",
    '"',
    "'",
    "\\",
    "[x]: data:text/html,y\n",
    "    code",
    "\x00",
    "\u202e",
]


class Checker(HTMLParser):
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ALLOWED, tag
        for name, value in attrs:
            assert name in HARMLESS, name
            if name == "href":
                assert (value or "").lower().startswith(("http://", "https://")), value


@given(st.lists(st.sampled_from(PIECES), max_size=20).map("".join))
def test_nothing_but_harmless_elements_comes_out(text: str) -> None:
    Checker().feed(rendered(text))
    Checker().feed(inline(text))


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("plain words", "<p>plain words</p>"),
        ("a < b", "<p>a &lt; b</p>"),
        ("one\n\ntwo", "<p>one</p><p>two</p>"),
        ("# Head", "<h3>Head</h3>"),
        ("a\n*b*", "<em>b</em>"),
        ("```py\nx = 1\n```", "<figcaption><b>py</b>"),
        ("[a](https://b.example)", 'href="https://b.example"'),
    ],
)
def test_it_reads_as_it_was_meant(text: str, html: str) -> None:
    assert html in rendered(text)


def test_a_very_long_text_is_whole_and_quick() -> None:
    text = "*a* " * 100_000
    assert rendered(text).count("a") >= 100_000
