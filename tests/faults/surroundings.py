"""Faults of what surrounds the watcher: directories, dates, names, other servers, other hosts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from psycopg2.extensions import parse_dsn

from faults.buggy_watcher import SLOW
from faults.cell import Cell, fault
from faults.load import Transcript, append, backlog, in_folder, transcripts
from faults.machine import query, wait_for
from faults.watched import BUGGY, SILENT, Watched

YEAR_2300 = 10_413_792_000
BEFORE_1970 = -2_000_000_000
REGISTERED = {"sessions": "registered", "inactivity_timeout_seconds": 10**8}
SLOW_FILES = 300


@fault
def slow_directory(cell: Cell) -> None:
    """Every look at a file takes 5 ms, and a directory of hundreds comes."""
    for _ in cell.moments(1):
        folder = cell.watcher.projects / "-slow"
        folder.mkdir()
        for number in range(SLOW_FILES):
            (folder / f"{number}.jsonl").touch()
        new = in_folder(folder, 2)
        backlog(new, 100)
        cell.files += new
        assert not _is_overdue(cell.watcher)


def _is_overdue(watcher: Watched) -> bool:
    status = watcher.status()
    return status is not None and status.doing_seconds > status.doing_limit


@fault
def hanging_resolver(cell: Cell) -> None:
    """The name of the first server is never answered for, whenever the connection is lost."""
    for _ in cell.moments(2):
        wait_for(cell.machine.terminate, "the watcher has no connection")
        assert not _is_overdue(cell.watcher)


def _unanswered(url: str) -> dict[str, Any]:
    """The same server as the second of two, the first of which has a name."""
    return {"database": {"url": url.replace("?host=", "?host=db.example.test,")}}


@fault
def failing_unlink(cell: Cell) -> None:
    """No file can leave the inbox, while more and more come."""
    done, away = cell.watcher.inbox / "done", cell.watcher.inbox / "away"
    for _ in cell.moments(2):
        cell.watcher.wait_state("capturing")
        done.rename(away)
        done.touch()
        for _ in range(20):
            cell.hook("Stop")
        wait_for(lambda: _troubled(cell.watcher, "cannot be moved"), "nothing is told of it")
        time.sleep(cell.scale.outage)
        done.unlink()
        away.rename(done)


def _troubled(watcher: Watched, told: str) -> bool:
    status = watcher.status()
    return status is not None and told in (status.trouble or "")


@fault
def odd_dates(cell: Cell) -> None:
    """Files and folders of the year 2300 and of long ago."""
    for _, date in zip(cell.moments(4), (YEAR_2300, BEFORE_1970) * 2, strict=True):
        for transcript in cell.files:
            os.utime(transcript.path.parent, (date, date))
            if transcript.path.exists():
                os.utime(transcript.path, (date, date))


@fault
def narrow_server(cell: Cell) -> None:
    """In place of the database one that is not UTF-8; after a while the right one is back."""
    name = parse_dsn(cell.watcher.url)["dbname"]
    execute = cell.machine.execute
    for _ in cell.moments(1):
        cell.watcher.wait_state("capturing")
        execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s",
            (name,),
        )
        execute(f"ALTER DATABASE {name} RENAME TO {name}_right")
        execute(
            f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1'"
            " LC_COLLATE 'C' LC_CTYPE 'C'"
        )
        wait_for(lambda: _refused(cell.watcher), "no sentence about the encoding")
        time.sleep(cell.scale.outage)
        assert _tables(cell.watcher.url) == 0
        execute(f"DROP DATABASE {name} WITH (FORCE)")
        execute(f"ALTER DATABASE {name}_right RENAME TO {name}")
        execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


def _refused(watcher: Watched) -> bool:
    status = watcher.status()
    return status is not None and "only UTF8 can store every text" in (status.reason or "")


def _tables(url: str) -> int:
    """Tables of anybody's but the server itself."""
    found = query(url, "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace")
    return int(found[0][0])


@fault
def failover(cell: Cell) -> None:
    """The primary dies, and a standby that is behind takes its place, twice."""
    lost = 0
    for number, _ in enumerate(cell.moments(2)):
        if number:
            cell.pair.restore()
        lost += cell.pair.fail_over(0.5)
    assert lost > 0, "no failover took anything back: nothing was tried"


@fault
def two_hosts(cell: Cell) -> None:
    """Sessions are captured once registered, and on this host others' are."""
    directory = cell.watcher.directory / "other"
    directory.mkdir()
    other = Watched(directory, cell.watcher.url)
    other.configure(file_watcher=REGISTERED, state={"host": "other"})
    cell.others.append(other)
    left_alone, *asked = transcripts(other.projects, 5)
    for number, _ in enumerate(cell.moments(2)):
        (other.start, other.restart)[number]()
        backlog([left_alone, *asked], 1_000)
        _wait_passed_over(other, [left_alone] if number else [left_alone, *asked])
        if not number:
            cell.files += asked
            _ask(cell.watcher, "unregister", left_alone)
            other.signal(signal.SIGSTOP)
            for transcript in asked:
                _ask(cell.watcher, "register", transcript)
                append(transcript.path, transcript.turn())
            other.signal(signal.SIGCONT)


def _ask(host: Watched, command: str, transcript: Transcript) -> None:
    program = [sys.executable, "-I", "-m", "claude_headspace.cli", command, transcript.session]
    subprocess.run(program, env=host.environment, capture_output=True, check=True, timeout=60)


def _wait_passed_over(host: Watched, written: Sequence[Transcript]) -> None:
    """Until the lines were read and not taken."""
    read = (
        "SELECT coalesce(sum((counts->'other'->>'not_registered')::int), 0)::int"
        " FROM checkpoints WHERE path = %s"
    )
    for each in written:
        wanted = len(each.turns) + each.noise
        wait_for(lambda: query(host.url, read, (str(each.path),)) == [(wanted,)], "not read")  # noqa: B023


@fault
def host_changed(cell: Cell) -> None:
    """Killed, and started again when the machine is called otherwise."""
    for number, _ in enumerate(cell.moments(2)):
        cell.watcher.kill()
        cell.watcher.configure(state={"host": f"renamed-{number}"})
        cell.watcher.start()


COMMANDS: dict[str, Sequence[str]] = {
    "slow_directory": ("env", f"{SLOW}=0.005", *BUGGY),
    "hanging_resolver": SILENT,
}
SETTINGS: dict[str, Callable[[str], dict[str, Any]]] = {
    "hanging_resolver": _unanswered,
    "two_hosts": lambda _: {"file_watcher": REGISTERED},
}
