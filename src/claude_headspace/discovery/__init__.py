"""Which transcripts there are, and which have something unread."""
