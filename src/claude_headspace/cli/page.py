"""Getting at the page and the API."""

from __future__ import annotations

from claude_headspace.cli.access import configured
from claude_headspace.cli.command import command, flag
from claude_headspace.errors import START_COMMAND, HeadspaceError


@command("open", "claude-headspace open", "claude-headspace open --print")
@flag("--print", "print the link instead", "print_it")
def open_page(*, print_it: bool) -> int:
    """Open the page in a browser.

    By a link that works once, within an hour; the browser keeps a cookie from then on.
    """
    import webbrowser

    from claude_headspace.web.address import (
        answering_instance,
        one_time_link,
        web_address,
    )

    config = configured()
    if answering_instance(config) is None:
        raise HeadspaceError(
            f"nothing of ours answers at {web_address(config)}: start it with `{START_COMMAND}`"
        )
    link = one_time_link(config)
    if print_it or not webbrowser.open(link):
        print(link)
    return 0


@command(
    "token",
    'curl -H "Authorization: Bearer $(claude-headspace token)" http://127.0.0.1:5055/api/sessions',
)
@flag("--new", "make a new one: the old one, and every browser's cookie, end")
def token(*, new: bool) -> int:
    """Print the token with which programs use the API.

    Whoever has it can read all that was captured.
    """
    from claude_headspace.access import token_of

    print(token_of(configured().state.directory, renew=new))
    return 0
