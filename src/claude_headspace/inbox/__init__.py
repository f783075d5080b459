"""The inbox: a directory in which any program leaves events, even while Postgres is down.

Producers use `put`; the consumer uses `claude_headspace.inbox.messages`. Importing this package
loads little, and only from the standard library.
"""

from claude_headspace.inbox.producer import put

__all__ = ["put"]
