"""PgBouncer in front of the server of this test run."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness import wait_until
from servers import PostgresServer, answers, stop

PORT = 6432
_SETTINGS = """[databases]
* = host={socket} port=5432 user=headspace
[pgbouncer]
listen_port = {port}
unix_socket_dir = {home}
auth_type = any
pool_mode = {mode}
default_pool_size = {size}
"""


def program() -> str | None:
    """PgBouncer, where it is installed."""
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@dataclass(frozen=True)
class Pooler:
    """One that runs; its socket is in `home`."""

    home: Path

    def url(self, direct: str) -> str:
        """The address of a database through it."""
        database = direct.partition("@/")[2].partition("?")[0]
        return f"postgresql://headspace@/{database}?host={self.home}&port={PORT}"


@contextmanager
def pooler(server: PostgresServer, mode: str, size: int = 20) -> Iterator[Pooler]:
    """PgBouncer in this mode, run by whoever runs the server."""
    found = program()
    assert found is not None
    owner = server.record.data.stat()
    home = Path(tempfile.mkdtemp(prefix="headspace-"))
    settings = home / "pgbouncer.ini"
    settings.write_text(
        _SETTINGS.format(socket=server.record.socket, port=PORT, home=home, mode=mode, size=size)
    )
    user: dict[str, int] = {}
    if os.getuid() == 0:
        os.chown(home, owner.st_uid, owner.st_gid)
        user = {"user": owner.st_uid, "group": owner.st_gid}
    with (home / "log").open("wb") as log:
        process = subprocess.Popen([found, str(settings)], stderr=log, **user)  # type: ignore[call-overload]
    it = Pooler(home)
    try:
        wait_until(lambda: answers(it.url("@/postgres")), "the pooler")
        yield it
    finally:
        stop(process)
        shutil.rmtree(home)
