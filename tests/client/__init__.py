"""A real Claude Code, without a network, beside a real watcher."""
