"""A server with roles that log in, by their certificates where it speaks TLS.

The one that comes with our package does not; that of a system does.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.page import free_port
from claude_headspace.cli.program import run
from claude_headspace.embedded import cluster
from claude_headspace.store import migrations
from faults.machine import query
from faults.pair import SUPERUSER, Server
from servers import temporary_state

DATABASE = "fleet"
GROUPS = {"admin": "owner", "laptop": "writer", "page": "reader"}
SYSTEM = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda it: int(it.parent.name))
SPEAKS_TLS = bool(SYSTEM and shutil.which("openssl"))
_HBA = f"local all {SUPERUSER} trust\nhostssl all all 127.0.0.1/32 cert\n"
_SETTINGS = """
listen_addresses = '127.0.0.1'
ssl = on
ssl_cert_file = '{folder}/server.crt'
ssl_key_file = '{folder}/server.key'
ssl_ca_file = '{folder}/root.crt'
port = {port}
"""


class Certificates:
    """An authority of our own in a folder, and what it has signed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._openssl("req", "-x509", *self._new("root"), "-out", str(folder / "root.crt"))

    def sign(self, name: str, more: str = "") -> None:
        """Make a key and its certificate."""
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        extensions.write_text(more)
        self._openssl("req", *self._new(name), "-out", str(request))
        authority = ["-CA", f"{self.folder}/root.crt", "-CAkey", f"{self.folder}/root.key"]
        made = ["-CAcreateserial", "-extfile", str(extensions), "-out", f"{self.folder}/{name}.crt"]
        self._openssl("x509", "-req", "-in", str(request), *authority, *made)

    def _new(self, name: str) -> list[str]:
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        return [*key, "-keyout", str(self.folder / f"{name}.key"), "-subj", f"/CN={name}"]

    def _openssl(self, *arguments: str) -> None:
        done = subprocess.run(["openssl", *arguments], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()


@dataclass(frozen=True)
class Secured:
    """`server` has the log in it, and the roles of GROUPS, each in its group."""

    server: Server
    certificates: Path
    port: int

    @property
    def maintenance(self) -> str:
        """The superuser's address, over the socket."""
        return f"postgresql://{SUPERUSER}@/{DATABASE}?host={self.server.home}&port={self.port}"

    def url(self, role: str, host: str = "localhost", **changed: str) -> str:
        """How a role connects: with TLS it knows the server, and the server knows it."""
        if not SPEAKS_TLS:
            return self.maintenance.replace(SUPERUSER, role)
        folder = self.certificates
        given = {
            "sslmode": "verify-full", "sslrootcert": f"{folder}/root.crt",
            "sslcert": f"{folder}/{role}.crt", "sslkey": f"{folder}/{role}.key", **changed,
        }  # fmt: skip
        query = "&".join(f"{name}={value}" for name, value in given.items())
        return f"postgresql://{role}@{host}:{self.port}/{DATABASE}?{query}"


@contextmanager
def secured() -> Iterator[Secured]:
    """Running, with an empty log."""
    with temporary_state() as state:
        cluster.make_passable(state)
        cluster.make_passable(state / "postgres")
        prepared, _ = cluster.prepare(state)
        home = prepared.base / "tls"
        cluster.make_directory(home, 0o711, prepared.owner)
        options = prepared.owner.subprocess_options()
        binaries = SYSTEM[-1] if SPEAKS_TLS else prepared.binaries.directory
        server = Server(home, binaries, options)
        server.make()
        if SPEAKS_TLS:
            _make_tls(server, state)
        try:
            server.start()
            it = Secured(server, state, server.port)
            _fill(it)
            yield it
        finally:
            server.stop()


def _make_tls(server: Server, folder: Path) -> None:
    certificates = Certificates(folder)
    certificates.sign("server", "subjectAltName=DNS:localhost")
    for role in GROUPS:
        certificates.sign(role)
    for name in ("server.crt", "server.key", "root.crt"):
        copy = Path(shutil.copy(folder / name, server.data))
        copy.chmod(0o600)
        shutil.chown(copy, server.data.stat().st_uid, server.data.stat().st_gid)
    (server.data / "pg_hba.conf").write_text(_HBA)
    server.port = free_port()
    with (server.data / "postgresql.conf").open("a") as settings:
        settings.write(_SETTINGS.format(folder=server.data, port=server.port))


def _fill(it: Secured) -> None:
    query(it.maintenance.replace(f"/{DATABASE}", "/postgres"), f"CREATE DATABASE {DATABASE}")
    migrations.upgrade(it.maintenance)
    assert run(["grants", "--apply", "--database", it.maintenance]) == 0
    for role, group in GROUPS.items():
        query(it.maintenance, f"CREATE ROLE {role} LOGIN IN ROLE claude_headspace_{group}")
