"""Where the embedded server is, and the address of the log's database.

Imports little, because every program needs it.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from urllib.parse import quote

from msgspec import Struct
from msgspec.structs import asdict

from claude_headspace.address import LogUrl, libpq_url
from claude_headspace.config import Config
from claude_headspace.errors import START_COMMAND, DatabaseUnavailable

OWN_NAME = "headspace"
PORT = 5432
# sun_path holds 104 bytes on macOS and 108 on Linux, the closing zero included.
SOCKET_PATH_BYTES = 103
SERVER_SOCKET = f".s.PGSQL.{PORT}"
# supervisord first binds its socket's name with ".<pid>" appended, then renames it.
SUPERVISOR_SOCKET = "supervisor.sock"
_PID_SUFFIX = ".4194304"


class ServerRecord(Struct, frozen=True):
    """The embedded server as others see it: its address, programs, data and system user."""

    url: str
    bin: Path
    data: Path
    socket: Path
    user: str


def record_path(state_directory: Path) -> Path:
    """The file that describes the embedded server of this state directory."""
    return state_directory / "postgres" / "server.json"


def server_record(state_directory: Path) -> ServerRecord | None:
    """The embedded server of this state directory, running or not; None before it is prepared."""
    path = record_path(state_directory)
    try:
        values = json.loads(path.read_bytes())
        programs, data, socket = (Path(values[name]) for name in ("bin", "data", "socket"))
        return ServerRecord(values["url"], programs, data, socket, values["user"])
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise DatabaseUnavailable(
            f"{path} belongs to another user: that user prepared the embedded Postgres"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise DatabaseUnavailable(
            f"{path} is damaged ({error!r}): start the embedded Postgres again to rewrite it"
        ) from error


def write_record(state_directory: Path, record: ServerRecord) -> None:
    """Write the description of the server, atomically."""
    path = record_path(state_directory)
    fresh = path.with_suffix(".new")
    fresh.touch(mode=0o600)
    fresh.write_text(json.dumps(asdict(record), default=str, indent=1) + "\n", "utf-8")
    fresh.replace(path)


def database_url(config: Config) -> LogUrl:
    """The log's address for libpq: the configured one, else that of the embedded server.

    `PG*` variables refer to other servers, and an address does not override all of them
    (PGSERVICE), so for the embedded server they are removed from this process's environment.
    """
    return log_url(config, _address(config))


def reader_url(config: Config) -> LogUrl:
    """The address for programs that only read: the configured `reader_url`, else the log's."""
    given = config.database.reader_url
    return log_url(config, libpq_url(given)) if given else database_url(config)


def log_url(config: Config, address: str) -> LogUrl:
    """An address of which the timelines seen so far are remembered in the state directory."""
    url = LogUrl(address)
    url.seen = config.state.directory / "timelines"
    return url


def _address(config: Config) -> str:
    if config.database.url:
        return libpq_url(config.database.url)
    record = server_record(config.state.directory)
    if record is None:
        raise DatabaseUnavailable(
            f"the embedded Postgres has not been prepared yet in {config.state.directory}:"
            f" start it with `{START_COMMAND}`, or set database.url to a server of your own"
        )
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]
    return record.url


def socket_url(directory: Path, database: str = OWN_NAME) -> str:
    """The address of a database behind a unix socket in this directory."""
    return f"postgresql://{OWN_NAME}@/{database}?host={quote(str(directory))}&port={PORT}"


def state_key(state_directory: Path) -> str:
    """A short name, unique to this state directory on this machine."""
    import hashlib

    return hashlib.sha256(os.fsencode(state_directory.resolve())).hexdigest()[:16]


def fits_socket(directory: Path, name: str) -> bool:
    """Whether the path of a unix socket of this name in the directory is short enough."""
    return len(os.fsencode(directory / name)) <= SOCKET_PATH_BYTES


def supervisor_socket(state_directory: Path) -> Path:
    """The socket of supervisord; in a short directory if the state directory's path is long."""
    if fits_socket(state_directory, SUPERVISOR_SOCKET + _PID_SUFFIX):
        return state_directory / SUPERVISOR_SOCKET
    return short_directory(state_directory) / SUPERVISOR_SOCKET


def short_directory(state_directory: Path) -> Path:
    """The directory of this user's sockets when the state directory's path is too long."""
    import tempfile  # loads what compresses files

    tmp = Path("/tmp") if Path("/tmp").is_dir() else Path(tempfile.gettempdir())  # noqa: S108
    return tmp / f"claude-headspace-{os.getuid()}-{state_key(state_directory)}"


def is_private(directory: Path, uid: int) -> bool:
    """Whether this is a directory of that user that nobody else can enter."""
    try:
        found = directory.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == uid and not found.st_mode & 0o077
