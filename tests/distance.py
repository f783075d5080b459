"""A server that is far away: what is sent to it, and what it answers, is on its way for a while.

`python tests/distance.py SOCKET SECONDS` prints the port at which it listens.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from psycopg2.extensions import parse_dsn

from claude_headspace.embedded.location import PORT

READ_BYTES = 65536


@contextmanager
def far_away(url: str, round_trip_seconds: float) -> Iterator[str]:
    """The same database as by this address of a socket, so far away."""
    known = parse_dsn(url)
    socket = Path(known["host"]) / f".s.PGSQL.{known.get('port', PORT)}"
    process = subprocess.Popen(
        [sys.executable, __file__, str(socket), str(round_trip_seconds / 2)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        where = f"127.0.0.1:{process.stdout.readline().strip()}/{known['dbname']}"
        yield f"postgresql://{known['user']}@{where}?sslmode=disable&gssencmode=disable"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, late: float) -> None:
    """However much is on its way, each part arrives so much later than it was sent."""
    now = asyncio.get_running_loop().time
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def deliver() -> None:
        with suppress(OSError):
            data = b"-"
            while data:
                due, data = await under_way.get()
                await asyncio.sleep(due - now())
                writer.write(data)
                await writer.drain()
        writer.close()

    delivering = asyncio.create_task(deliver())
    data = b"-"
    while data:
        try:
            data = await reader.read(READ_BYTES)
        except OSError:
            data = b""
        under_way.put_nowait((now() + late, data))
    await delivering


async def _serve(socket: str, late: float) -> None:
    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(socket)
        await asyncio.gather(_pass_on(reader, back, late), _pass_on(there, writer, late))

    server = await asyncio.start_server(meet, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], float(sys.argv[2])))
