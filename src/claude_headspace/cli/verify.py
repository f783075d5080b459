"""Proving that the log is complete, and repairing it."""

from __future__ import annotations

import sys

from claude_headspace.cli.access import configured
from claude_headspace.cli.command import command, filters, flag, json_output
from claude_headspace.cli.naming import session_id
from claude_headspace.cli.terminal import print_lines, print_wrapped, table


@command("verify", "claude-headspace verify --repair")
@filters("session")
@flag(
    "--repair", "show what is missing, ask, and write it; read files with wrong checkpoints again"
)
@flag("--yes", "repair without asking")
@flag("--all", "also list complete sessions", "every")
@json_output("one JSON object with every session")
def verify(session: str | None, *, repair: bool, yes: bool, every: bool, in_json: bool) -> int:
    """Compare every transcript with the log, line by line.

    Reads the transcripts again. Exit status 0: the log is complete.
    """
    from claude_headspace.verify.output import conclusions, figures, print_json
    from claude_headspace.verify.run import run_verify

    config = configured()
    chosen = session_id(config, session) if session else None
    report = run_verify(config, chosen, repair=repair, yes=yes)
    if in_json:
        print_json(report, sys.stdout)
    else:
        rows = figures(report, everything=every)
        print_lines(table(rows, *range(len(rows[0]) - 1)))
        print_wrapped(conclusions(report))
    return 1 if report.wrong > 0 else 0


@command("rebuild", "claude-headspace rebuild", "claude-headspace rebuild --session 6f1d0a7e")
@filters("session")
def rebuild(session: str | None) -> int:
    """Rebuild the rows of tool calls and model calls from the archive and the transcripts.

    The watcher may run meanwhile. Afterwards `usage` and `tools` match the transcripts. If a
    transcript is neither on disk nor archived, its session keeps its rows.
    """
    from claude_headspace.capture.rebuild import Rebuild
    from claude_headspace.sessions.log import make_log

    config = configured()
    chosen = session_id(config, session) if session else None
    log = make_log(config, "claude-headspace rebuild")
    try:
        log.database.connect()
        log.sessions.reload()
        job = Rebuild(log, config)
        done = job.run([chosen] if chosen else job.sessions())
    finally:
        log.database.close()
    print(f"sessions: {done.sessions}, tool calls: {done.calls}, replies: {done.replies}")
    if done.unread:
        print(f"neither on disk nor archived, rows unchanged: files {done.unread}")
    return 0
