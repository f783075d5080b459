"""The log for Claude itself: an MCP server that answers questions and changes nothing."""
