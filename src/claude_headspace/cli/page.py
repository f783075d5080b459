"""Getting at the page and the API."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from claude_headspace.cli.command import add
from claude_headspace.errors import HeadspaceError

if TYPE_CHECKING:
    from claude_headspace.cli.command import Commands


def configure(commands: Commands) -> None:
    """Declare the commands."""
    parser = add(
        commands, "open", open_page, "open the page in a browser",
        "By a link that works once, within an hour; the browser keeps a cookie from then on.",
        "claude-headspace open",
        "claude-headspace open --print",
    )  # fmt: skip
    parser.add_argument("--print", action="store_true", help="print the link instead")
    parser = add(
        commands, "token", token, "print the token with which programs use the API",
        "Whoever has it can read all that was captured.",
        'curl -H "Authorization: Bearer $(claude-headspace token)"'
        " http://127.0.0.1:5055/api/sessions",
    )  # fmt: skip
    parser.add_argument(
        "--new", action="store_true",
        help="make a new one: the old one, and every browser's cookie, end",
    )  # fmt: skip


def open_page(arguments: Namespace) -> int:
    """Have the browser open a link, where there is a browser."""
    import webbrowser

    from claude_headspace.config import load_config
    from claude_headspace.web.address import (
        answering_instance,
        one_time_link,
        web_address,
    )

    config = load_config()
    if answering_instance(config) is None:
        raise HeadspaceError(
            f"nothing of ours answers at {web_address(config)}: start it with `claude-headspace up`"
        )
    link = one_time_link(config)
    if arguments.print or not webbrowser.open(link):
        print(link)
    return 0


def token(arguments: Namespace) -> int:
    """Print the token."""
    from claude_headspace.access import token_of
    from claude_headspace.config import load_config

    print(token_of(load_config().state.directory, renew=arguments.new))
    return 0
