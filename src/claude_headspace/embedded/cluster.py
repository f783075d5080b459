"""The embedded server's folders, created and initialised once."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from claude_headspace.embedded import binaries, owner
from claude_headspace.embedded.binaries import Binaries
from claude_headspace.embedded.location import (
    OWN_NAME,
    PORT,
    SERVER_SOCKET,
    ServerRecord,
    fits_socket,
    is_private,
    short_directory,
    socket_url,
    state_key,
    write_record,
)
from claude_headspace.embedded.owner import Owner
from claude_headspace.errors import EmbeddedServerError

SYSTEM_BASE = Path("/var/lib/claude-headspace")
LOCAL_SETTINGS = "local.conf"
_INITDB_SECONDS = 120

_SERVER_SETTINGS = f"""\
# Rewritten at each start. Put your own settings into local.conf beside this file.
listen_addresses = ''
port = {PORT}
unix_socket_permissions = 0700
max_connections = 40
shared_buffers = 64MB
max_wal_size = 2GB
checkpoint_timeout = 15min
jit = off
track_commit_timestamp = on
max_parallel_workers_per_gather = 0
io_method = sync
log_destination = stderr
logging_collector = off
log_line_prefix = '%m [%p] '
log_checkpoints = off
log_timezone = 'UTC'
timezone = 'UTC'
"""
_SHARED_MEMORY = re.compile(r"^dynamic_shared_memory_type\s*=\s*\w+", re.MULTILINE)
_HBA = "local all {name} peer map=headspace\n"
_IDENT = "headspace {user} {name}\n"


@dataclass(frozen=True, slots=True)
class Cluster:
    """A data directory with the programs, the user and the socket folder that go with it."""

    base: Path
    owner: Owner
    binaries: Binaries

    @property
    def data(self) -> Path:
        """Postgres's data directory."""
        return self.base / "data"


def prepare(state_directory: Path) -> tuple[Cluster, ServerRecord]:
    """Create whatever is missing, write the record, and return a cluster that can be started."""
    cluster = _locate(state_directory)
    if not (cluster.data / "PG_VERSION").exists():
        _initialise(cluster)
    _check_version(cluster.data)
    socket = _socket_directory(state_directory, cluster)
    record = ServerRecord(
        url=socket_url(socket),
        bin=cluster.binaries.directory,
        data=cluster.data,
        socket=socket,
        user=cluster.owner.name,
    )
    write_record(state_directory, record)
    return cluster, record


def make_directory(directory: Path, mode: int, user: Owner | None = None) -> None:
    """Create a folder with exactly this mode; an existing one is not changed."""
    try:
        directory.mkdir(mode)
    except FileExistsError:
        return
    directory.chmod(mode)
    if user is not None and user.borrowed:
        os.chown(directory, user.uid, user.gid)


def make_passable(directory: Path) -> None:
    """Create a folder of ours; root's are passable, so that the server's user can enter."""
    make_directory(directory, 0o700 if os.getuid() else 0o711)


def write_settings(cluster: Cluster, socket: Path) -> None:
    """Write the server's settings; call this as the owner, who controls the folder."""
    users = dict.fromkeys(("root", cluster.owner.name))
    settings = f"{_SERVER_SETTINGS}unix_socket_directories = {_quoted(socket)}\n"
    settings += _found_by_initdb(cluster.data / "postgresql.conf")
    if (cluster.data / LOCAL_SETTINGS).exists():
        settings += f"include = '{LOCAL_SETTINGS}'\n"
    texts = {
        "postgresql.conf": settings,
        "pg_hba.conf": _HBA.format(name=OWN_NAME),
        "pg_ident.conf": "".join(_IDENT.format(user=f'"{user}"', name=OWN_NAME) for user in users),
    }
    for name, text in texts.items():
        fresh = cluster.data / f"{name}.new"
        fresh.write_text(text, "utf-8")
        fresh.replace(cluster.data / name)


def _found_by_initdb(settings: Path) -> str:
    """The kind of shared memory that works here: initdb tests it, and each start reuses it."""
    try:
        found = _SHARED_MEMORY.search(settings.read_text("utf-8", "replace"))
    except FileNotFoundError:
        return ""
    return f"{found[0]}\n" if found else ""


def _locate(state_directory: Path) -> Cluster:
    home = state_directory / "postgres"
    system = SYSTEM_BASE / state_key(state_directory)
    existing = next((base for base in (home, system) if _exists(base / "data")), None)
    user = owner.choose_owner(existing / "data" if existing else None)
    programs = binaries.installed()
    if existing is None:
        existing = home if user.can_use([home]) else _system_base(system)
    if not user.can_use(programs.needed):
        say(f"{user.name} cannot read the virtual environment: programs are copied to {system}")
        programs = binaries.copied(programs, _system_base(system))
    if existing == system:
        say(f"{user.name} cannot enter {home}: the data is in {system}")
    return Cluster(existing, user, programs)


def _exists(data: Path) -> bool:
    return data.is_dir() and any(data.iterdir())


def _system_base(system: Path) -> Path:
    if os.getuid():
        raise EmbeddedServerError(f"{system} is needed, and only root can create it")
    make_directory(SYSTEM_BASE.parent, 0o755)
    make_directory(SYSTEM_BASE, 0o755)
    make_directory(system, 0o755)
    if system.stat().st_uid or SYSTEM_BASE.stat().st_uid:
        raise EmbeddedServerError(f"{system} does not belong to root: remove it")
    return system


def _initialise(cluster: Cluster) -> None:
    if _exists(cluster.data):
        raise EmbeddedServerError(
            f"{cluster.data} is not empty and holds no Postgres data: move it away"
        )
    say(f"preparing a database in {cluster.data}")
    fresh = cluster.base / "data.new"
    if fresh.exists():
        shutil.rmtree(fresh)
    make_directory(fresh, 0o700, cluster.owner)
    options = ("--no-locale", "-E", "UTF8", "-U", OWN_NAME, "-A", "peer", "-D", str(fresh))
    _run(cluster, "initdb", *options)
    single = ("--single", "-D", str(fresh), "template1")
    _run(cluster, "postgres", *single, input_text=f"CREATE DATABASE {OWN_NAME};\n")
    fresh.replace(cluster.data)


def _run(cluster: Cluster, program: str, *arguments: str, input_text: str = "") -> None:
    done = subprocess.run(  # type: ignore[call-overload]
        [str(cluster.binaries.directory / program), *arguments],
        input=input_text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd="/",
        env=server_environment(),
        timeout=_INITDB_SECONDS,
        check=False,
        umask=0o077,
        **cluster.owner.subprocess_options(),
    )
    # The single-user server reports a failed statement but still exits with 0.
    if done.returncode or "ERROR:" in done.stdout or "FATAL:" in done.stdout:
        raise EmbeddedServerError(
            f"{program} failed with status {done.returncode}: {done.stdout.strip()[-2000:]}"
        )


def server_environment() -> dict[str, str]:
    """Our environment without variables that would redirect PostgreSQL's programs."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("PG", "LC_"))}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


def _check_version(data: Path) -> None:
    major = (data / "PG_VERSION").read_text("ascii").strip()
    if major != str(binaries.MAJOR):
        raise EmbeddedServerError(
            f"{data} was made by PostgreSQL {major} but this version contains {binaries.MAJOR}:"
            f" dump it with a server of version {major}, or use another state.directory"
        )


def _socket_directory(state_directory: Path, cluster: Cluster) -> Path:
    plain = cluster.base / "run"
    if fits_socket(plain, SERVER_SOCKET):
        make_directory(plain, 0o700, cluster.owner)
        return plain
    short = short_directory(state_directory)
    if cluster.owner.borrowed:
        short = _system_base(SYSTEM_BASE / state_key(state_directory)) / "run"
    make_directory(short, 0o700, cluster.owner)
    if not is_private(short, cluster.owner.uid):
        raise EmbeddedServerError(
            f"{short} is needed for a socket, and does not belong to {cluster.owner.name} alone:"
            " remove it, or use a state.directory with a shorter path"
        )
    return short


def _quoted(path: Path) -> str:
    # The setting is a list: a path with commas needs double quotes.
    item = str(path).replace('"', '""').replace("'", "''")
    return f"'\"{item}\"'"


def say(text: str) -> None:
    """Tell the operator, in the log of this program."""
    print(f"postgres: {text}", file=sys.stderr, flush=True)
