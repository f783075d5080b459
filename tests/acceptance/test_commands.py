"""Every command with good and bad arguments: on terminals of any width, piped, in any encoding."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from captured import query
from claude_headspace.cli.program import SECTIONS
from claude_headspace.config import load_config
from claude_headspace.inbox.messages import list_messages, read_message
from claude_headspace.read.connection import ReadPool
from claude_headspace.store.version import SCHEMA_VERSION
from claude_headspace.web.access_token import token_of
from claude_headspace.web.app import create_app
from commanded import ASKS, CODE, LINT, WIDE, Commands, columns_of, commanded
from commands_page import documented_calls
from servers import PostgresServer

AWAY = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing"}
SCREENS = [(40, "utf-8"), (80, "utf-8"), (200, "utf-8"), (40, "ascii"), (None, "ascii")]
GOOD: tuple[tuple[str, int], ...] = (
    ("--help", 0),
    ("sessions", 0),
    ("sessions --open", 0),
    ("sessions --project my-project --host here --since 2020-01-01 --until 2999-01-01", 0),
    ("sessions --limit 0", 0),
    ("show 9d440bfc", 0),
    ("show 6f1d --tools --thinking", 0),
    ("search lint", 0),
    ("search ruff --tools", 0),
    ("search lint --everything --limit 3", 0),
    ("search E501 --plain", 1),
    ("today", 0),
    ("report --since 2025-05-01", 0),
    ("report --since 2025-05-01 --by project", 0),
    ("report --since 2025-05-01 --by model", 0),
    ("events", 0),
    ("events --session fix --since 2025-01-01", 0),
    ("events --type turn_detected --until 1w", 0),
    ("usage", 0),
    ("usage --by session", 0),
    ("tools", 0),
    ("tools --by project", 0),
    ("rejected", 0),
    ("rejected --host here", 0),
    ("restarts", 0),
    ("hosts", 0),
    ("status", 2),
    ("forget 9d440bfc", 0),
    ("hooks status --claude-version 2.1.240", 1),
    ("verify --all", 0),
    ("doctor", 2),
    ("service status", 1),
)
# Printed to be copied, or for programs: never cut.
WHOLE: tuple[tuple[str, int], ...] = (
    ("--version", 0),
    ("resume 9d440bfc", 0),
    ("show 9d440bfc --json", 0),
    ("show fix lint --markdown", 0),
    ("database-url", 0),
    ("check-config", 0),
    ("grants", 0),
    ("export events", 0),
    ("export sessions --format csv", 0),
    ("export tools --session 9d440bfc", 0),
    ("export usage --format csv --project /home/me/my-project", 0),
    ("export conversations --format markdown --limit 1", 0),
    ("completion fish", 0),
    ("verify --json", 0),
    ("sessions --json", 0),
)
BAD: tuple[tuple[str, int, str], ...] = (
    ("sesions", 64, "did you mean sessions?"),
    ("sessions --opn", 64, "did you mean --open?"),
    ("sessions --since someday", 64, "give 2026-08-22T14:00"),
    ("sessions --project nowhere", 66, "has no project"),
    ("show", 64, "missing argument"),
    ("show 9d440bfd", 66, "has no session"),
    ("show nothing of the kind", 66, "lists ids and titles"),
    ("search", 64, "missing argument"),
    ("search a --tools --prompts", 64, "exclude one another"),
    ("search *", 64, "'*' contains no word to search for"),
    ("search --plain --session zz lint", 66, "is not a session"),
    ("resume", 64, "missing argument"),
    ("today tomorrow", 64, "unexpected extra argument"),
    ("report --by year", 64, "'day', 'project', 'model'"),
    ("events --type turn_detectd", 64, "did you mean turn_detected?"),
    ("events --project my-project", 66, "more than one project"),
    ("export", 64, "missing argument"),
    ("export everything", 64, "'conversations', 'events'"),
    ("export events --format markdown", 64, "is for conversations"),
    ("export usage --session 9d440bfc", 64, "usage takes no --session"),
    ("usage --by year", 64, "'total'"),
    ("rejected --host nowhere", 66, "has no host named nowhere"),
    ("rejected retry", 64, "give either IDs or --all"),
    ("rejected dismiss", 64, "give either IDs or --all"),
    ("rejected dismiss 999", 66, "no unresolved dead letter has the ID 999"),
    ("rejected dimiss 1", 64, "did you mean dismiss?"),
    ("verify --session zz", 66, "is not a session"),
    ("emit note", 64, "`emit note` needs TEXT"),
    ("emit session_ended", 64, "give --payload"),
    ("emit note x --inbox /nowhere/inbox", 73, "not the inbox of any watcher"),
    ("forget", 64, "give sessions or projects"),
    ("redact", 64, "missing option"),
    ("backup", 64, "missing argument"),
    ("backup /nowhere/log.dump", 1, "/nowhere is not a folder"),
    ("restore zz", 66, "is not a session"),
    ("restore-backup", 64, "missing argument"),
    ("register zz", 66, "is not a session"),
    ("unregister", 64, "missing argument"),
    ("migrate --now", 64, "no such option"),
    ("watcher --fast", 64, "no such option"),
    ("hooks", 64, "missing command"),
    ("hooks install --claude-version old", 65, "is not a version"),
    ("completion tcsh", 64, "'bash', 'zsh', 'fish'"),
    ("token --ne", 64, "did you mean --new?"),
    ("open", 1, "start it with"),
    ("check-config now", 64, "unexpected extra argument"),
    ("database-url x", 64, "unexpected extra argument"),
    ("restarts --limit some", 64, "give a number or all"),
    ("status --exactly", 64, "did you mean --exact?"),
    ("tools --project nowhere", 66, "has no project"),
    ("up --detached", 64, "did you mean --detach?"),
    ("down now", 64, "unexpected extra argument"),
    ("restart web", 64, "unexpected extra argument"),
    ("drain --time 9", 64, "did you mean --timeout?"),
    ("rebuild --sessions x", 64, "did you mean --session?"),
    ("logs --all", 64, "no such option"),
    ("doctor --jsn", 64, "did you mean --json?"),
    ("grants --applied", 64, "did you mean --apply?"),
    ("mcp now", 64, "unexpected extra argument"),
    ("service", 64, "missing command"),
    ("service instal", 64, "did you mean install?"),
)

NEWER = (
    "sessions", "show 9d440bfc", "search lint", "resume 9d440bfc", "today", "report", "events",
    "events --follow", "export events", "usage", "tools", "hosts", "rejected",
    "rejected retry --all", "rejected dismiss --all", "verify", "restore 9d440bfc --to {place}",
    "register 9d440bfc", "unregister 9d440bfc", "forget 9d440bfc --yes", "redact --existing",
    "rebuild", "migrate", "migrate --no-wait", "grants --apply",
)  # fmt: skip
# These ask no log, copy it as it is, or say what they found in words of their own.
ANY_SCHEMA = (
    "open", "psql", "status", "doctor", "restarts", "emit", "backup", "restore-backup", "up",
    "down", "restart", "drain", "logs",
    "supervisorctl", "watcher", "hook", "service", "hooks", "mcp",
    "completion", "check-config", "database-url", "token",
)  # fmt: skip


@pytest.fixture(scope="module")
def commands(
    postgres_server: PostgresServer, schema_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Commands]:
    directory = tmp_path_factory.mktemp("commands")
    with commanded(postgres_server, schema_template, directory) as made:
        yield made


def test_every_command_is_tried() -> None:
    lines = [*(line for line, _ in (*GOOD, *WHOLE)), *(line for line, _, _ in BAD)]
    tried = {line.split()[0] for line in lines}
    # These become other programs, or are what Claude Code calls.
    assert {name for names in SECTIONS.values() for name in names} - tried == {
        "psql", "hook", "supervisorctl",
    }  # fmt: skip


@pytest.mark.parametrize(("columns", "encoding"), SCREENS)
def test_good_calls_fit_any_screen(commands: Commands, columns: int | None, encoding: str) -> None:
    for line, status in GOOD:
        ended = commands.run(*line.split(), columns=columns, encoding=encoding)
        assert (ended.status, ended.err) == (status, ""), line
        assert ended.out, line
        assert "\x07" not in ended.out, line
        if encoding == "ascii":
            assert ended.out.isascii(), line
        if columns is None:
            assert "\x1b" not in ended.out, line
        else:
            shown = ended.out.partition("example:")[0] if "help" in line else "\n".join(ended.lines)
            assert max(map(columns_of, shown.splitlines())) <= columns, line


@pytest.mark.parametrize(("columns", "encoding"), [(40, "ascii"), (None, "utf-8")])
def test_what_is_there_to_be_copied_is_never_cut(
    commands: Commands, columns: int | None, encoding: str
) -> None:
    for line, status in WHOLE:
        ended = commands.run(*line.split(), columns=columns, encoding=encoding)
        assert (ended.status, ended.err) == (status, ""), line
        assert ended.out, line
        assert "…" not in ended.out or "sessions" in line, line


@pytest.mark.parametrize("columns", [40, None])
def test_bad_calls_say_what_is_wrong_in_one_line(commands: Commands, columns: int | None) -> None:
    for line, status, told in BAD:
        ended = commands.run(*line.split(), columns=columns)
        assert (ended.status, ended.out.strip()) in (
            (status, ""),
            (status, "0 dead letters dismissed"),
        )
        assert ended.err.count("\n") == 1, line
        assert told in ended.err, line
        if status == 64:
            assert f"{line.split()[0] if line != 'sesions' else ''} --help" in ended.err or (
                " --help)" in ended.err
            ), line


def test_without_the_database_each_says_so(commands: Commands) -> None:
    for line, _ in (*GOOD, *WHOLE):
        if line.split()[0] in ("show", "search", "today", "report", "export", "resume", "sessions"):
            ended = commands.run(*line.split(), env=AWAY)
            assert (ended.status, ended.out) == (69, ""), line
            assert ended.err.count("\n") == 1, line


@pytest.fixture
def newer(commands: Commands) -> Iterator[Commands]:
    """The same log, in which a newer version of the program has migrated."""
    query(commands.url, "UPDATE alembic_version SET version_num = '9999'")
    yield commands
    query(commands.url, "UPDATE alembic_version SET version_num = %s", SCHEMA_VERSION)


def test_with_a_newer_schema_each_says_so(newer: Commands, tmp_path: Path) -> None:
    told = "the database has schema 9999"
    for line in NEWER:
        ended = newer.run(*line.format(place=tmp_path).split())
        assert (ended.status, ended.out, ended.err.count("\n")) == (69, "", 1), (line, ended)
        assert told in ended.err, line
        assert "update th" in ended.err, line
    tried = {line.split()[0] for line in NEWER}
    assert {name for names in SECTIONS.values() for name in names} - tried == {*ANY_SCHEMA}
    assert (newer.run("status").status, newer.run("doctor").status) == (2, 2)
    assert told in newer.run("status").out
    assert "schema 9999" in newer.run("doctor").out
    assert told in newer.run("hooks", "status").err


def test_with_a_newer_schema_the_page_says_so(newer: Commands) -> None:
    config = load_config({**newer.environment, "DATABASE_URL": newer.url})
    client = create_app(config, ReadPool(lambda: newer.url)).test_client()
    token = {"Authorization": f"Bearer {token_of(config.state.directory)}"}
    for path, kind in (("/api/sessions", "*/*"), ("/sessions", "text/html"), ("/", "text/html")):
        answer = client.get(path, headers={**token, "Accept": kind}, base_url="http://127.0.0.1")
        assert answer.status_code == 503, path
        assert "the database has schema 9999" in answer.text, path


def test_sessions_are_shown_newest_first_with_their_state(commands: Commands) -> None:
    told = commands.json("sessions")
    assert [(each["session"], each["state"]) for each in told] == [
        (ASKS, "needs"), (WIDE, "ended"), (LINT, "ended"),
    ]  # fmt: skip
    wide = commands.run("sessions", columns=200).lines
    assert [line.split()[0] for line in wide[1:-1]] == [ASKS[:8], WIDE[:8], LINT[:8]]
    assert "needs you" in wide[1]
    assert "/srv/other/my-project" in wide[1]
    short = commands.run("sessions", columns=60).lines
    assert short[0].startswith(f"{ASKS[:8]}  needs you  ")
    assert short[1] == "  Which is better?"
    assert [each["session"] for each in commands.json("sessions", "--open")] == [ASKS]
    both = commands.json("sessions", "--project", "my-project")
    assert {each["project"] for each in both} == {"/home/me/my-project", "/srv/other/my-project"}
    assert commands.json("sessions", "--host", "another") == []
    assert [each["session"] for each in commands.json("sessions", "--since", "1h")] == [ASKS]
    assert len(commands.json("sessions", "--until", "1h")) == 2


def test_colours_are_for_terminals_that_want_them(commands: Commands) -> None:
    assert "\x1b[31mneeds you" in commands.run("sessions", columns=100).out
    assert "\x1b" not in commands.run("sessions", columns=100, env={"NO_COLOR": "1"}).out
    for line in (("show", LINT), ("search", "lint"), ("events",), ("today",)):
        plain = commands.run(*line, columns=100, env={"NO_COLOR": "1"})
        assert not any(f"\x1b[3{n}m" in plain.out for n in range(8)), line


def test_a_conversation_is_shown_as_it_was(commands: Commands) -> None:
    shown = commands.run("show", "9d440bfc").lines
    assert shown[:3] == [
        "Fix lint",
        f"{LINT}, ended, /home/me/my-project",
        f"cd /home/me/my-project && claude --resume {LINT}",
    ]
    assert shown[4:6] == ["You  2025-06-01 12:00:00", "  Please fix the lint errors"]
    assert "  Bash  ruff check .  error" in shown
    assert "  Edit  a.py  +1 −1" in shown
    assert "  print('ä')" in shown
    assert not any("E501" in line or "Let me see." in line for line in shown)
    whole = commands.run("show", "9d440bfc", "--tools", "--thinking").out
    assert "| exit code 1: E501" in whole
    assert "Let me see." in whole
    markdown = commands.run("show", "9d440bfc", "--markdown").out
    assert markdown.startswith("# Fix lint\n")
    assert f"\n{CODE}\n" in markdown
    assert "- `Bash` `ruff check .  error`\n" in markdown
    told = commands.json("show", "9d440bfc")
    assert [each["kind"] for each in told] == ["prompt", "tool", "tool", "answer"]
    assert (told[1]["tool"], told[1]["outcome"], told[3]["text"]) == ("Bash", "error", CODE)
    on_terminal = commands.run("show", "9d440bfc", columns=60).lines
    assert "   • one bold point" in on_terminal


def test_a_session_is_named_by_id_or_by_words_of_its_title(commands: Commands) -> None:
    for name in ((LINT,), ("9D44",), ("fix",), ("fix", "LINT")):
        assert commands.run("resume", *name).out.endswith(f"claude --resume {LINT}\n")
    several = commands.run("resume", "lint")
    assert several.status == 66
    first, *others = several.err.splitlines()
    assert "more than one session matches 'lint'" in first
    assert [line.split()[0] for line in others] == [WIDE[:8], LINT[:8]]


def test_what_is_found_is_told_by_session_with_how_to_resume_it(commands: Commands) -> None:
    found = commands.run("search", "lint", "errors").lines
    assert found[0] == "9d440bfc  Fix lint"
    assert "    Please fix the lint errors" in found
    assert f"  cd /home/me/my-project && claude --resume {LINT}" in found
    assert "claude-headspace resume 9d440bfc" in commands.run("search", "errors", columns=50).out
    assert commands.run("search", "lint errors").status == 0
    assert commands.run("search", "errors", "lint").status == 0
    assert commands.run("search", "errors lint").status == 1
    assert [hit["actor"] for hit in commands.json("search", "ruff", "--tools")] == ["Bash"]
    every = commands.json("search", "lint", "--everything", "--session", "9d44")
    assert [hit["session"] for hit in every] == [LINT]
    assert commands.run("search", "--", "lint", "-fix").lines[0].startswith(WIDE[:8])
    assert "\x1b[33m\x1b[1mlint" in commands.run("search", "errors", "lint", columns=80).out
    assert commands.run("search", "nowhere").out == "Nothing was found.\n"


def test_what_was_worked_on(commands: Commands) -> None:
    today = commands.run("today").lines
    assert today[0].startswith("/srv/other/my-project, ")
    assert today[1].split("  ")[1:4] == [ASKS[:8], today[1].split("  ")[2], "needs you"]
    by_day = commands.json("report", "--since", "2025-06-01")
    assert by_day[0] == {
        "day": "2025-06-01", "seconds": 8.0, "sessions": 2, "prompts": 2, "turns": 4, "calls": 2,
        "failed": 1, "tokens_out": by_day[0]["tokens_out"],
    }  # fmt: skip
    by_project = commands.json("report", "--since", "2025-06-01", "--by", "project")
    assert [(each["project"], each["calls"]) for each in by_project] == [
        ("/home/me/my-project", 2), ("/srv/other/my-project", 1),
    ]  # fmt: skip
    (by_model,) = commands.json("report", "--since", "2025-06-01", "--by", "model")
    assert by_model["model"] == "claude-sonnet-4-5"


def test_events_between_two_times(commands: Commands) -> None:
    turns = ("events", "--type", "turn_detected", "--limit", "all")
    assert len(commands.json(*turns)) == 5
    assert len(commands.json(*turns, "--until", "2025-06-01T12:30Z")) == 2
    assert len(commands.json(*turns, "--since", "yesterday")) == 1
    assert len(commands.json(*turns, "--since", "1w", "--until", "yesterday")) == 0
    assert len(commands.json(*turns, "--session", "fix lint")) == 2
    assert commands.run(*turns, columns=100).lines[0] == "times in UTC (UTC+0000)"
    assert commands.run(*turns).lines[0].startswith("2025-06-01 12:00:00.000")


def test_the_zone_of_times_is_told_once_and_where_somebody_looks(commands: Commands) -> None:
    there = {"TZ": "Asia/Tokyo"}
    for line in (("show", LINT), ("search", "lint"), ("events",)):
        shown = commands.run(*line, columns=80, env=there).lines
        assert [each for each in shown if "times in" in each] == ["times in JST (UTC+0900)"], line
        assert "times in" not in commands.run(*line, env=there).out
    markdown = commands.run("show", LINT, "--markdown", env=there).out
    assert ", 2025-06-01 21:00:00; times in JST (UTC+0900)." in markdown


def test_days_are_local(commands: Commands) -> None:
    for zone, day in (("Pacific/Kiritimati", "2025-06-02"), ("America/New_York", "2025-06-01")):
        there = {"TZ": zone}
        for line in (("usage",), ("tools", "--by", "day"), ("report", "--since", "2025-01-01")):
            rows = commands.json(*line, env=there)
            assert {row["day"] for row in rows} & {"2025-06-01", "2025-06-02"} == {day}, line


def test_rows_are_exported(commands: Commands) -> None:
    events = commands.run("export", "events", "--format", "csv").out
    rows = list(csv.DictReader(io.StringIO(events)))
    assert rows == sorted(rows, key=lambda row: row["timestamp"], reverse=True)
    assert len(rows) == len(commands.json("export", "events"))
    said = commands.json("export", "conversations", "--session", "9d44")
    assert [each["kind"] for each in said] == ["prompt", "tool", "tool", "answer"]
    assert {each["session"] for each in said} == {LINT}
    all_of_it = commands.run("export", "conversations", "--format", "markdown").out
    assert [line for line in all_of_it.splitlines() if line.startswith("# ")][::2][-1:]
    assert all_of_it.count("\nSession ") == 3
    assert "\x1b" not in all_of_it
    one = commands.json("export", "tools", "--session", LINT, "--limit", "1")
    assert [each["tool"] for each in one] == ["Edit"]


def test_what_was_rejected_is_told_by_its_line_and_dismissed(commands: Commands) -> None:
    (kept,) = commands.json("rejected")
    assert (
        f"  in line 3 (byte {kept['source_offset']}) of {kept['path']}"
        in commands.run("rejected").lines
    )
    Path(kept["path"]).rename(commands.directory / "moved")
    try:
        assert f"  at byte {kept['source_offset']} of" in commands.run("rejected").out
    finally:
        (commands.directory / "moved").rename(kept["path"])
    assert commands.run("rejected", "dismiss", str(kept["id"])).out == "1 dead letter dismissed\n"
    try:
        assert commands.run("rejected").out == "Nothing was rejected.\n"
        assert len(commands.json("rejected", "--all")) == 1
    finally:
        query(commands.url, "UPDATE dead_letters SET resolved_at = NULL")


def test_status_tells_a_run_that_is_over_from_what_is_in_the_log(commands: Commands) -> None:
    ended = commands.run("status")
    assert (ended.status, ended.lines[0]) == (2, "down")
    assert "has ended" in ended.out
    assert "watcher:  not running; last seen 2" in ended.out
    over, log = ended.out.partition("in its last run\n")[2].split("\nin the log, of all machines")
    assert re.match(r"written:  \d+ events, 0 duplicates; rejected 1, failed 0; last write 2", over)
    assert "\ncaptured: " in log
    assert "rejected: 1; see" in log


def test_notes_are_left_in_the_inbox(commands: Commands) -> None:
    inbox = commands.directory / "var" / "inbox"
    before = set(list_messages(inbox))
    line = ("emit", "note", "deployed", "2.4", "--tag", "release", "--tag", "api", "--source", "me")
    assert commands.run(*line).status == 0
    (left,) = set(list_messages(inbox)) - before
    message = read_message(left)
    assert (message.type, message.payload) == (
        "note_added", {"text": "deployed 2.4", "tags": ["release", "api"], "source": "me"},
    )  # fmt: skip
    left.unlink()
    nobody = {"CLAUDE_HEADSPACE__STATE__DIRECTORY": str(commands.directory / "typo")}
    ended = commands.run(*line, env=nobody)
    assert (ended.status, "not the inbox of any watcher" in ended.err) == (73, True)
    assert not (commands.directory / "typo").exists()


def test_a_session_is_resumed_where_it_was(commands: Commands, tmp_path: Path) -> None:
    """Whose files are gone is restored first; one without its folder is not begun elsewhere."""
    assert "does not exist" in commands.run("resume", "--exec", "9d44").err
    transcript = next(commands.directory.rglob(f"{LINT}.jsonl"))
    transcript.rename(tmp_path / "gone")
    try:
        told = commands.run("resume", "9d44").out
    finally:
        (tmp_path / "gone").rename(transcript)
    assert told.startswith(f"claude-headspace restore --missing {LINT} && cd /home/me/my-project")


def test_resuming_here_becomes_claude(commands: Commands, tmp_path: Path) -> None:
    claude, folder = tmp_path / "bin" / "claude", tmp_path / "a folder"
    claude.parent.mkdir()
    folder.mkdir()
    claude.write_text('#!/bin/sh\necho "$PWD" "$@"\n')
    claude.chmod(0o755)
    moved = "UPDATE agents SET working_directory = %s WHERE session_uuid = %s"
    query(commands.url, moved, str(folder), LINT)
    try:
        path = {"PATH": f"{claude.parent}:{os.environ['PATH']}"}
        told = subprocess.run(
            [sys.executable, "-m", "claude_headspace.cli", "resume", "--exec", "9d44"],
            env={**commands.environment, **path}, capture_output=True, timeout=60, check=False,
            text=True,
        )  # fmt: skip
    finally:
        query(commands.url, moved, "/home/me/my-project", LINT)
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout == f"{folder} --resume {LINT}\n"


def test_shells_complete_sessions_and_projects(commands: Commands) -> None:
    def complete(words: str, **env: str) -> list[str]:
        asked = {"_CLAUDE_HEADSPACE_COMPLETE": "bash_complete", "COMP_WORDS": words}
        ended = commands.run(env={**asked, "COMP_CWORD": str(words.count(" ")), **env})
        assert (ended.status, ended.err) == (0, "")
        return [line.partition(",")[2] for line in ended.out.splitlines() if line]

    assert complete("claude-headspace sess") == ["sessions"]
    assert complete("claude-headspace show 9d") == [LINT[:8]]
    assert complete("claude-headspace events --session ") == [ASKS[:8], WIDE[:8], LINT[:8]]
    assert complete("claude-headspace sessions --project my") == ["my-project"]
    assert complete("claude-headspace sessions --op") == ["--open"]
    assert complete("claude-headspace show 9d", **AWAY) == []


def test_real_processes_in_a_bare_locale(commands: Commands) -> None:
    """What the interpreter itself makes of a locale that knows no UTF-8."""
    bare = {
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PATH": os.environ["PATH"],
    }
    program = [sys.executable, "-m", "claude_headspace.cli"]
    for line in (["show", "6f1d"], ["sessions"], ["search", "lint"], ["events"]):
        ended = subprocess.run(
            [*program, *line], env={**commands.environment, **bare}, capture_output=True,
            timeout=60, check=False,
        )  # fmt: skip
        assert (ended.returncode, ended.stderr) == (0, b""), line
        assert ended.stdout.isascii(), line


def test_calls_in_documents_that_only_read_are_run(commands: Commands) -> None:
    reading = {*SECTIONS["Read"], "status", "restarts", "rejected", "check-config"} - {
        "open",
        "psql",
    }
    tried = 0
    for page, words in documented_calls():
        if words[0] in reading and "--follow" not in words and words[-1:] != ["retry"]:
            if "my-project" in words:
                words = [word if word != "my-project" else "/home/me/my-project" for word in words]
            ended = commands.run(*words)
            assert ended.status in (0, 1, 2) or len(words) == 1, (page, words, ended.err)
            tried += 1
    assert tried > 10
    assert json.loads(commands.run("sessions", "--json").out.splitlines()[0])
