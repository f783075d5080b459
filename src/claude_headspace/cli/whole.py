"""Proving that the log is whole, and writing what is missing in it."""

from __future__ import annotations

from claude_headspace.cli.command import command, flag, json_output, option


@command("verify", "claude-headspace verify --repair")
@option("--session", "UUID", "only this session; the first characters are enough")
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
    from claude_headspace.config import load_config
    from claude_headspace.store.selection import find_session
    from claude_headspace.verify.command import run_verify
    from claude_headspace.verify.options import VerifyOptions

    config = load_config()
    chosen = None
    with open_log(config) as connection:
        if session:
            chosen = find_session(connection, session).uuid
            connection.rollback()
        return run_verify(config, VerifyOptions(chosen, repair, yes, whole, every))
