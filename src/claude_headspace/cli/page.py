"""Access to the page, the API and the MCP server."""

from __future__ import annotations

from claude_headspace.cli.access import configured
from claude_headspace.cli.command import command, flag
from claude_headspace.errors import START_COMMAND, HeadspaceError


@command("open", "claude-headspace open", "claude-headspace open --print")
@flag("--print", "print the link instead", "print_it")
def open_page(*, print_it: bool) -> int:
    """Open the page in a browser.

    The link works once, within an hour; after that a cookie identifies the browser.
    """
    import webbrowser

    from claude_headspace.web.page_address import answering_instance, one_time_link, web_address

    config = configured()
    if answering_instance(config) is None:
        raise HeadspaceError(
            f"no Claude Headspace answers at {web_address(config)}: start it with `{START_COMMAND}`"
        )
    link = one_time_link(config)
    if print_it or not webbrowser.open(link):
        print(link)
    return 0


@command(
    "token",
    'curl -H "Authorization: Bearer $(claude-headspace token)" http://127.0.0.1:5055/api/sessions',
)
@flag("--new", "make a new token; the old one and all cookies become invalid")
def token(*, new: bool) -> int:
    """Print the token that programs need to use the API.

    Whoever has it can read everything that was captured.
    """
    from claude_headspace.web.access_token import token_of

    print(token_of(configured().state.directory, renew=new))
    return 0


@command("mcp", "claude mcp add headspace -- claude-headspace mcp")
def mcp() -> int:
    """Let Claude query the log: an MCP server over standard input and output.

    Its tools search, list sessions, read one, and report what was worked on. They only read. See
    docs/mcp.md.
    """
    try:
        from claude_headspace.mcp.server import serve
    except ModuleNotFoundError as error:
        raise HeadspaceError(
            f"{error.name} is not installed: install claude-headspace[mcp]"
        ) from error
    serve(configured())
    return 0
