"""The MCP server: lets Claude query the log, read-only."""
