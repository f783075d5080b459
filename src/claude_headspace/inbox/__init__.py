"""A directory where any program leaves events for the log, Postgres up or not.

`put` is for the programs that leave them; `claude_headspace.inbox.messages` is for the one that
takes them in. Importing this loads the standard library alone, and little of it.
"""

from claude_headspace.inbox.producer import put

__all__ = ["put"]
