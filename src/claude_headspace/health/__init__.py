"""The status file that the watcher leaves, and the verdict drawn from it."""
