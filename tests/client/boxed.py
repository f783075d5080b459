"""Runs inside the namespace: the scripted model, and the client with nothing of its caller."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from client import model

KEY = "made-up-key-of-nobody"


@dataclass(frozen=True)
class Box:
    """One start of the client."""

    command: list[str]
    home: str
    directory: str
    script: model.Script

    def save(self, path: Path) -> list[str]:
        """The command that starts it, once inside the namespace."""
        path.write_text(json.dumps(asdict(self)))
        return [sys.executable, "-m", "client.boxed", str(path)]


def environment(home: str, program: str, port: int) -> dict[str, str]:
    """All that the client gets to know."""
    return {
        "PATH": f"{Path(program).parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": home,
        "TMPDIR": home,
        "CLAUDE_CODE_TMPDIR": home,
        "LANG": "C.UTF-8",
        "SHELL": "/bin/bash",
        "TERM": "xterm-256color",
        "IS_SANDBOX": "1",
        "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{port}",
        "ANTHROPIC_API_KEY": KEY,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
        "DISABLE_ERROR_REPORTING": "1",
        "DISABLE_TELEMETRY": "1",
    }


def main() -> int:
    """Run the client of a saved box to its end."""
    box = Box(**json.loads(Path(sys.argv[1]).read_text()))
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    if [name for _, name in socket.if_nameindex()] != ["lo"]:
        return os.EX_CONFIG
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the client gets it from the terminal itself
    port = model.serve(box.script)
    known = environment(box.home, box.command[0], port)
    return subprocess.Popen(box.command, cwd=box.directory, env=known).wait()


if __name__ == "__main__":
    sys.exit(main())
