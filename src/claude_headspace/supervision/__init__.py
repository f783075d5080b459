"""Keeping the watcher running, and stopping it in a crash loop."""
