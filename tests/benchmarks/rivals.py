"""What the watcher is measured beside: pgbench's bare inserts, and rsyslog."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.server import Log, NotReachedError

SESSION = "6f1d0a7e-0000-4000-8000-000000000000"
STOP_SECONDS = 30.0
OTHER_PROGRAMS = ("/usr/sbin", "/sbin", "/usr/local/sbin", "/opt/homebrew/bin", "/usr/local/bin")

Variant = Literal["line", "batch"]

# The same columns, keys, indexes and references that one of our events has.
_PGBENCH_INSERT = """\
INSERT INTO events (timestamp, event_type, payload, project_id, agent_id, session_uuid, event_key,
source_id, source_offset) VALUES (now(), 'turn_detected', '{payload}', 1, 1, '{session}',
gen_random_uuid(), 1, 1);
"""
_ROWS = """
INSERT INTO projects (machine, path) VALUES (md5('benchmark')::uuid, '/home/u/app');
INSERT INTO agents (session_uuid, project_id, working_directory)
VALUES ('{session}', 1, '/home/u/app');
"""
_DIRECT = 'queue.type="Direct"'
_DISK_ASSISTED = (
    'queue.type="LinkedList" queue.filename="spool" queue.size="10000"'
    ' queue.maxDiskSpace="2g" queue.saveOnShutdown="on"'
)
_RSYSLOG = """\
global(workDirectory="{state}" maxMessageSize="8m")
module(load="imfile" mode="inotify")
module(load="ompgsql")
main_queue({main_queue})
template(name="insert" type="list" option.stdsql="on") {{
  constant(value="INSERT INTO events (timestamp, event_type, payload, project_id, agent_id,")
  constant(value=" session_uuid, event_key, source_id, source_offset)")
  constant(value=" VALUES (now(), 'turn_detected', '")
  property(name="msg")
  constant(value="'::jsonb, 1, 1, '{session}', gen_random_uuid(), 1, 1)")
}}
input(type="imfile" file="{files}" tag="transcript" ruleset="insert" reopenOnTruncate="on"
      persistStateInterval="{state_interval}" persistStateAfterSubmission="on")
ruleset(name="insert") {{
  action(type="ompgsql" conninfo="{url}" template="insert"
         action.resumeRetryCount="-1" action.resumeInterval="1" {action_queue})
}}
syslog.* action(type="omfile" file="{state}/rsyslog.log")
"""


@dataclass(frozen=True, slots=True)
class Rivals:
    """The programs that were found; what is None cannot be measured here."""

    pgbench: Path | None
    rsyslogd: Path | None

    def describe(self) -> dict[str, str]:
        """Their versions, or how to get them."""
        missing = "not installed (Debian: apt install rsyslog rsyslog-pgsql)"
        return {
            "pgbench": version(self.pgbench, "--version") if self.pgbench else "not installed",
            "rsyslog": version(self.rsyslogd, "-v") if self.rsyslogd else missing,
        }


def find_rivals() -> Rivals:
    """Look for them on the PATH and where systems keep them."""
    places = os.pathsep.join((os.environ.get("PATH", ""), *OTHER_PROGRAMS))
    pgbench = shutil.which("pgbench", path=places)
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/pgbench"), key=_major)
    rsyslogd = shutil.which("rsyslogd", path=places)
    if rsyslogd and not any(Path("/usr/lib").rglob("rsyslog/ompgsql.so")):
        rsyslogd = None
    return Rivals(
        pgbench=Path(pgbench) if pgbench else versions[-1] if versions else None,
        rsyslogd=Path(rsyslogd) if rsyslogd else None,
    )


def _major(path: Path) -> int:
    return int(re.sub(r"\D.*", "", path.parent.parent.name) or 0)


def version(program: Path, option: str) -> str:
    """The first line of what it says of itself."""
    done = subprocess.run([program, option], capture_output=True, text=True, check=False)
    return done.stdout.partition("\n")[0].removesuffix("compiled with:").strip()


def prepare_rows(log: Log) -> None:
    """The session that their events refer to."""
    log.rows(_ROWS.format(session=SESSION))


def bench_inserts(pgbench: Path, log: Log, payload: str, *, durable: bool, seconds: int) -> float:
    """Transactions a second of one client that inserts such an event in each."""
    prepare_rows(log)
    with tempfile.TemporaryDirectory(prefix="headspace-") as place:
        script = Path(place) / "insert.sql"
        quoted = payload.replace("'", "''")
        script.write_text(_PGBENCH_INSERT.format(payload=quoted, session=SESSION))
        command = f"{pgbench} -n -c1 -j1 -M simple -f {script} -T {seconds}".split()
        options = f"-c synchronous_commit={'on' if durable else 'off'}"
        done = subprocess.run(
            [*command, log.url],
            env={**os.environ, "PGOPTIONS": options},
            capture_output=True,
            text=True,
            check=False,
        )
    found = re.search(r"tps = ([\d.]+)", done.stdout)
    if done.returncode or not found:
        raise NotReachedError(f"pgbench failed: {done.stderr.strip()[-500:]}")
    return float(found[1])


@contextmanager
def rsyslog(program: Path, variant: Variant, state: Path, files: str, log: Log) -> Iterator[int]:
    """rsyslog that stores every line of these files as an event; yields its process id."""
    prepare_rows(log)
    state.mkdir(parents=True)
    direct = variant == "line"
    configuration = state / "rsyslog.conf"
    configuration.write_text(
        _RSYSLOG.format(
            state=state,
            files=files,
            session=SESSION,
            url=log.url,
            # Storing its place after each line, as exactness asks, costs two thirds of the speed.
            state_interval=1 if direct else 1000,
            main_queue=_DIRECT if direct else 'queue.type="LinkedList"',
            action_queue=_DIRECT if direct else _DISK_ASSISTED,
        )
    )
    process = subprocess.Popen(
        [program, "-n", "-iNONE", "-f", configuration],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
