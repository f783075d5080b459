"""The watcher: the background process that captures transcripts."""
