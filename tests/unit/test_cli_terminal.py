"""What reaches a person's terminal, and what people may write on the command line."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import click
import pytest

from claude_headspace.cli.command import count, parse_moment
from claude_headspace.cli.events import payload_line
from claude_headspace.cli.program import run
from claude_headspace.cli.terminal import announce, as_json, cut, local_time, printable
from claude_headspace.embedded.location import ServerRecord, socket_url, write_record
from commands_page import COLUMNS, commands

HEAVY = {"yaml", "sqlalchemy", "marshmallow", "psycopg2", "msgspec", "alembic", "flask"}


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("plain  text", "plain  text"),
        ("two\n\n   lines\tand\r\nmore", "two lines and more"),
        ("\x1b[2J\x07\x00", r"\x1b[2J\x07\x00"),
        ("\x9b31m\x7f", r"\x9b31m\x7f"),
        ("a\u202egpj.exe\u2028b", r"a\u202egpj.exe\u2028b"),
        ("half \ud83d here", r"half \ud83d here"),
        ("häß 漢字 😀", "häß 漢字 😀"),
    ],
)
def test_nothing_steers_the_terminal(given: str, shown: str) -> None:
    assert printable(given) == shown


@pytest.mark.parametrize(
    ("given", "width", "shown"),
    [
        ("12345", 5, "12345"),
        ("123456", 5, "1234…"),
        ("漢字漢字", 8, "漢字漢字"),
        ("漢字漢字漢", 8, "漢字漢…"),
        ("e\u0301" * 5, 5, "e\u0301" * 5),
        ("\x1b" * 9, 9, r"\x1b\x1b…"),
        ("a" + "\n " * 100 + "b", 4, "a …"),
        ("x" * 10_000_000, 3, "xx…"),
        ("x" * 300, None, "x" * 300),
    ],
)
def test_lines_end_at_the_edge(given: str, width: int | None, shown: str) -> None:
    assert cut(given, width) == shown


def test_moments() -> None:
    now = datetime.now(UTC)
    for text, ago in (("90s", 90), ("10m", 600), ("2h", 7200), ("3d", 259200), ("1w", 604800)):
        assert abs(now - timedelta(seconds=ago) - parse_moment(text)) < timedelta(minutes=1)
    assert parse_moment("2026-08-22T14:00:00Z") == datetime(2026, 8, 22, 14, tzinfo=UTC)
    assert parse_moment("2026-08-22") == datetime(2026, 8, 22).astimezone()
    for text in ("tomorrow", "10", "-5m", "m", "999999999w", "0001-01-01T00:00+23:00"):
        with pytest.raises(click.BadParameter):
            parse_moment(text)


def test_counts() -> None:
    assert (count("0"), count("17"), count("all")) == (0, 17, None)
    for text in ("-1", "many", "1.5", "²"):
        with pytest.raises(click.BadParameter):
            count(text)


@pytest.mark.parametrize(
    ("kind", "payload", "shown"),
    [
        ("turn_detected", {"actor": "user", "text": "hi"}, "user: hi"),
        (
            "turn_detected",
            {"actor": "agent", "text": "x", "subagent_id": "1"},
            "agent (subagent): x",
        ),
        ("session_registered", {"working_directory": "/w"}, "/w"),
        ("session_ended", {"reason": "closed", "duration_seconds": 0}, "closed after 0 s"),
        ("session_ended", {"reason": "timeout"}, "timeout"),
        (
            "state_transition",
            {"from_state": "a", "to_state": "b", "trigger": "turn"},
            "a → b (turn)",
        ),
        ("hook_received", {"hook_type": "SessionEnd", "reason": "clear"}, "SessionEnd clear"),
        ("another", {"ä": [1]}, '{"ä": [1]}'),
    ],
)
def test_every_type_has_a_summary(kind: str, payload: dict[str, object], shown: str) -> None:
    assert payload_line(kind, payload) == shown


def test_json_is_whole_and_ascii() -> None:
    value = {
        "at": datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))),
        "id": UUID(int=1),
        "bytes": b"a\xff",
        "text": "\x1b\x9bä" + "x" * 1000,
    }
    line = as_json(value)
    assert line.isascii()
    assert json.loads(line) == {
        "at": "2026-01-01T00:00:00+00:00",
        "id": str(UUID(int=1)),
        "bytes": r"a\xff",
        "text": "\x1b\x9bä" + "x" * 1000,
    }


@pytest.mark.parametrize("name", [name for name in commands() if name])
def test_every_command_explains_itself_with_an_example(name: str) -> None:
    text = commands()[name].get_help()
    assert "example:\n  " in text
    assert f"claude-headspace {name}" in text.split("example:")[1]


def test_exit_statuses_are_documented() -> None:
    text = commands()[""].get_help()
    for status in (0, 1, 2, 64, 65, 66, 69, 70, 73, 75, 78):
        assert f"\n  {status} " in text


def test_lines_of_exit_statuses_are_broken_only_where_they_must_be() -> None:
    told = commands()[""].get_help().partition("exit statuses:\n")[2].partition("\n\n")[0]
    for line, following in pairwise(told.splitlines()):
        continued = following.startswith(" " * 6)
        assert not continued or len(line) + len(following.split()[0]) >= COLUMNS - 1, following


def test_only_a_person_is_told_that_something_takes_a_while(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    announce("Reading.")
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    announce("Reading.")
    assert capsys.readouterr() == ("", "Reading.\n")


def test_a_cause_that_says_the_same_is_not_repeated(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAUDE_HEADSPACE__STATE__DIRECTORY", str(tmp_path / "none"))
    assert run(["token"]) == 73
    assert capsys.readouterr().err.count("No such file or directory") == 1


def test_an_error_of_the_system_begins_with_its_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAUDE_HEADSPACE__STATE__DIRECTORY", str(tmp_path))
    unfit = tmp_path / "log" / "web.log"
    unfit.mkdir(parents=True)
    assert run(["logs"]) == 1
    assert capsys.readouterr().err == f"claude-headspace: {unfit}: Is a directory\n"


def test_where_nothing_runs_it_says_how_to_start(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAUDE_HEADSPACE__STATE__DIRECTORY", str(tmp_path))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    (tmp_path / "postgres").mkdir()
    write_record(tmp_path, ServerRecord(socket_url(tmp_path), tmp_path, tmp_path, tmp_path, "me"))
    told = "the embedded Postgres is not running: start everything with `claude-headspace up`"
    for command in ("sessions", "events", "verify"):
        assert run([command]) == 69
        assert capsys.readouterr().err == f"claude-headspace: {told}\n"
    (tmp_path / "postgres" / "server.json").write_text("{")
    assert run(["sessions"]) == 69
    assert "server.json is damaged" in capsys.readouterr().err


def test_wrong_usage_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, path, told in (
        ([], "", "missing command"),
        (["nothing"], "", "no such command 'nothing'"),
        (["sesions"], "", "did you mean sessions?"),
        (["events", "--limit", "x"], " events", "give a number or all"),
        (["events", "--sesion", "1"], " events", "did you mean --session?"),
        (["events", "more"], " events", "unexpected extra argument"),
        (["events", "--limit"], " events", "requires an argument"),
        (["drain", "--timeout", "soon"], " drain", "is not a valid float"),
        (["hooks", "instal"], " hooks", "did you mean install?"),
        (["rejected", "retry"], " rejected retry", "give either IDs or --all"),
    ):
        assert run(arguments) == 64
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert said.startswith(f"claude-headspace{path}: ")
        assert said.endswith(f"(see claude-headspace{path} --help)\n")
        assert told in said


def loaded_by(arguments: list[str], note: Path) -> set[str]:
    code = (
        "import atexit, os, sys\n"
        "os._exit = sys.exit\n"
        f"atexit.register(lambda: open({str(note)!r}, 'w').write(' '.join(sys.modules)))\n"
        f"sys.argv[1:] = {arguments!r}\n"
        "from claude_headspace.cli import main\n"
        "sys.exit(main())"
    )
    subprocess.run(
        [sys.executable, "-I", "-c", code], input=b"{}", capture_output=True, check=True, timeout=60
    )
    return set(note.read_text().split())


def test_commands_that_must_be_quick_load_little(tmp_path: Path) -> None:
    note = tmp_path / "modules"
    hook = loaded_by(["hook", "--inbox", str(tmp_path / "inbox")], note)
    assert not hook & (HEAVY | {"click", "typing", "pathlib"})
    assert not loaded_by(["--help"], note) & HEAVY
    (tmp_path / "inbox").mkdir()
    emit = ["emit", "session_ended", "--inbox", str(tmp_path / "inbox")]
    payload = ["--payload", '{"session_uuid": "x", "reason": "closed"}']
    assert not loaded_by([*emit, *payload], note) & (HEAVY - {"marshmallow", "msgspec"})


@pytest.fixture(params=["UTC", "America/New_York", "Asia/Tokyo"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


def test_times_at_the_edge_of_the_calendar_are_shown(zone: str) -> None:
    first = local_time(datetime(1, 1, 1, tzinfo=UTC))
    last = local_time(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), precise=True)
    assert first.startswith("0001-01-01 ")
    assert last[:8] == "9999-12-"
    assert last[-4:] == ".000"
