"""The watcher's status file, and the verdict derived from it."""
