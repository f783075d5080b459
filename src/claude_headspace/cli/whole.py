"""Proving that the log is whole, and writing what is missing in it."""

from __future__ import annotations

from claude_headspace.cli.access import configured
from claude_headspace.cli.command import command, filters, flag, json_output
from claude_headspace.cli.naming import session_id


@command("verify", "claude-headspace verify --repair")
@filters("session")
@flag(
    "--repair", "show what is missing, ask, and write it; read files with wrong checkpoints again"
)
@flag("--yes", "repair without asking")
@flag("--all", "also list complete sessions", "every")
@json_output("one JSON object with every session")
def verify(session: str | None, *, repair: bool, yes: bool, every: bool, whole: bool) -> int:
    """Compare every transcript with the log, line by line.

    Reads the transcripts again. Exit status 0: nothing is missing and nothing differs.
    """
    from claude_headspace.cli.access import open_log
    from claude_headspace.verify.command import run_verify
    from claude_headspace.verify.options import VerifyOptions

    config = configured()
    chosen = session_id(config, session) if session else None
    with open_log(config):
        return run_verify(config, VerifyOptions(chosen, repair, yes, whole, every))
