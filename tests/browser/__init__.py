"""The page in a real browser, over a real watcher and a real log."""
