"""The MCP server."""

from __future__ import annotations

from claude_headspace.cli.command import command


@command("mcp", "claude mcp add headspace -- claude-headspace mcp")
def mcp() -> int:
    """Let Claude query the log: an MCP server over standard input and output.

    Its tools search, list sessions, read one, and report what was worked on. They only read. See
    docs/mcp.md.
    """
    from claude_headspace.config import load_config
    from claude_headspace.errors import HeadspaceError

    try:
        from claude_headspace.mcp.server import serve
    except ModuleNotFoundError as error:
        raise HeadspaceError(
            f"{error.name} is not installed: install claude-headspace[mcp]"
        ) from error
    serve(load_config())
    return 0
