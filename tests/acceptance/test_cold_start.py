"""What a command loads before it answers, which is the greater part of the time that it takes."""

from __future__ import annotations

import os
import subprocess
import sys

SHOW = (
    "import sys; from claude_headspace.cli.program import run; run(['sessions']);"
    " print(*sys.modules, file=sys.stderr)"
)
# yaml because a checkout has a configuration file, _distutils_hack because of its setuptools.
OTHERS = (
    "_distutils_hack click cython_runtime msgspec psycopg2 sitecustomize typing_extensions yaml"
)
OURS = """
    address errors machine cli cli.access cli.command cli.naming cli.program cli.sessions
    cli.terminal config config.checks config.folders
    config.settings embedded embedded.location read read.connection read.call_line
    read.session_facts read.paging read.selection
    read.sessions read.state read.titles read.tools servers store
    store.connection store.failures store.name_resolution store.opener
    store.patience store.precondition store.version web web.words
"""


def test_sessions_loads_what_it_needs_and_no_more(database_url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SHOW],
        env={**os.environ, "DATABASE_URL": database_url},
        capture_output=True, check=True, text=True, timeout=60,
    )  # fmt: skip
    loaded = done.stderr.split()
    others = {name.partition(".")[0] for name in loaded} - set(sys.stdlib_module_names)
    others = {name for name in others if not name.startswith(("__main__", "_cython"))}
    assert others - set(OTHERS.split()) == {"claude_headspace"}
    ours = {name.partition(".")[2] for name in loaded if name.startswith("claude_headspace.")}
    assert ours == set(OURS.split())
