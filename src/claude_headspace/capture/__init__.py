"""The way of a line from its file to its event."""
