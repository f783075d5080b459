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


@command(
    "rebuild",
    "claude-headspace rebuild",
    "claude-headspace rebuild --session 6f1d0a7e",
)
@option("--session", "UUID", "only this session; the first characters are enough")
def rebuild(session: str | None) -> int:
    """Make the rows of tools and models again, from the archive and the transcripts.

    Beside a running watcher. `usage` and `tools` then say what the lines say today. Where a
    transcript is neither there nor in the archive, its session keeps the rows that it has.
    """
    from claude_headspace.cli.access import open_log
    from claude_headspace.config import load_config
    from claude_headspace.sessions.log import make_log
    from claude_headspace.store.selection import find_session
    from claude_headspace.verify.rebuild import Rebuild

    config = load_config()
    chosen = None
    with open_log(config) as connection:
        if session:
            chosen = find_session(connection, session).uuid
    log = make_log(config, "claude-headspace rebuild")
    try:
        log.database.connect()
        log.sessions.reload()
        job = Rebuild(log, config)
        for each in [chosen] if chosen else job.sessions():
            job.session(each)
    finally:
        log.database.close()
    done = job.done
    print(f"sessions: {done.sessions}, calls of tools: {done.calls}, replies: {done.replies}")
    if done.unread:
        print(f"neither on the disk nor archived, left as they are: files {done.unread}")
    return 0
