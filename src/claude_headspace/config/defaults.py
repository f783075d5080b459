"""Every setting with its default, as YAML would give it."""

from __future__ import annotations

from typing import Any

CLAUDE_PROJECTS = "~/.claude/projects"

Tree = dict[str, dict[str, Any]]

DEFAULTS: Tree = {
    "database": {"url": None, "reader_url": None},
    "state": {"directory": "var", "host": None},
    "forward": {"url": None, "bytes_per_second": None},
    "event_system": {
        "write_retry_attempts": 3,
        "write_retry_delay_ms": 100,
        "max_restarts_per_minute": 5,
        "shutdown_timeout_seconds": 2,
    },
    "supervision": {"retry_seconds": 900},
    "claude": {"projects_path": CLAUDE_PROJECTS},
    "file_watcher": {
        "rescan_interval_seconds": 2,
        "inactivity_timeout_seconds": 5400,
        "sessions": "all",
        "max_line_bytes": 8 * 1024 * 1024,
        "final_line_wait_seconds": 5,
        "notifications": True,
    },
    "archive": {"enabled": True},
    "inbox": {"keep_seconds": 3600, "keep_bytes": 64 * 1024 * 1024},
    "prices": {},
    "web": {"host": "127.0.0.1", "port": 5055},
    "alerts": {"command": None},
    "logging": {"level": "INFO", "summary_interval_seconds": 60},
    "privacy": {"redact": False, "patterns": []},
}
