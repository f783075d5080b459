"""Finding transcripts, and those with unread bytes."""
