"""A way into a SOCKS5 proxy that wants a password, for a browser that can give it none.

It listens on loopback and speaks SOCKS5 without credentials to our own browser, and with them to
the proxy; bytes pass as they are. Whoever could reach it would go out in our name, so each
connection is looked up in the kernel's table of sockets, and only our own user's is answered.
"""

import asyncio
import logging
import os
from pathlib import Path

import yarl

from arenad.schema.process import Proxy
from arenad.worker import socks
from arenad.worker.socks import Failed

MAX_CONNECTIONS = 512
CONNECT_TIMEOUT_S = 30.0
PIECE_BYTES = 64 * 1024
HOST = "127.0.0.1"
ESTABLISHED = "01"
TABLE = Path("/proc/self/net/tcp")

log = logging.getLogger("arenad.relay")

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Relay:
    """One proxy's; `open` comes first."""

    def __init__(self, proxy: Proxy) -> None:
        """Nothing listens yet."""
        self._proxy = proxy
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._connections = 0
        self._port = 0

    async def open(self) -> Proxy:
        """Listen; gives the proxy as the browser is to see it. Raises OSError."""
        self._server = server = await asyncio.start_server(self._serve, HOST, 0, limit=PIECE_BYTES)
        self._port = int(server.sockets[0].getsockname()[1])
        return Proxy(name=self._proxy.name, url=f"socks5://{HOST}:{self._port}")

    async def close(self) -> None:
        """Hang up on everybody."""
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its first byte to its last; nobody waits for it."""
        self._writers.add(writer)
        self._connections += 1
        far: asyncio.StreamWriter | None = None
        try:
            if self._connections > MAX_CONNECTIONS or not await self._is_ours(writer):
                return
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                ends = await self._through(reader, writer)
            if ends is not None:
                far = ends[1]
                await asyncio.gather(_pump(reader, far), _pump(ends[0], writer))
            writer.close()
        except (OSError, EOFError, Failed) as error:  # a deadline that passed is an OSError, too
            log.debug("a connection ended: %s", error or type(error).__name__)
        finally:
            self._connections -= 1
            for each in filter(None, (writer, far)):
                if not each.is_closing():
                    each.transport.abort()
                self._writers.discard(each)

    async def _is_ours(self, writer: asyncio.StreamWriter) -> bool:
        """Whether a process of our own user is at the other end, as the kernel knows it."""
        host, port = writer.get_extra_info("peername")[:2]
        table = await asyncio.to_thread(TABLE.read_text, "ascii")
        owner = owner_of(table, (host, port), (HOST, self._port))
        if owner != os.geteuid():
            log.warning("somebody else asked for the proxy %s, and was refused", self._proxy.name)
            return False
        return True

    async def _through(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> Ends | None:
        """Hear where to, and have the proxy go there; none where it does not."""
        version, count = await reader.readexactly(2)
        if version != socks.VERSION or socks.PLAIN not in await reader.readexactly(count):
            raise Failed("that is no SOCKS5 without credentials")
        writer.write(bytes([socks.VERSION, socks.PLAIN]))
        version, order, _ = await reader.readexactly(3)
        where = await socks.told(reader)
        if (version, order) != (socks.VERSION, socks.CONNECT):
            raise Failed("that is no wish to connect")
        url = yarl.URL(self._proxy.url)
        far = await asyncio.open_connection(url.host, url.port, limit=PIECE_BYTES)
        self._writers.add(far[1])
        try:
            await socks.greet(*far, self._proxy)
            reply = await socks.ask(*far, where)
        except BaseException:
            far[1].transport.abort()
            self._writers.discard(far[1])
            raise
        writer.write(bytes([socks.VERSION, reply, 0, 1]) + bytes(6))
        if not reply:
            return far
        far[1].transport.abort()
        self._writers.discard(far[1])
        return None


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What comes goes on, no faster than it is taken; the end of one side is that of both."""
    while piece := await reader.read(PIECE_BYTES):
        writer.write(piece)
        await writer.drain()
    writer.close()


def owner_of(table: str, here: tuple[str, int], there: tuple[str, int]) -> int:
    """The user of the socket that is `here` and connected to `there`; -1 if there is none.

    `table` is /proc/net/tcp (proc(5)): addresses are hexadecimal, in the order of this machine.
    """
    wanted = f"{_hex(here)} {_hex(there)} {ESTABLISHED}"
    for line in table.splitlines()[1:]:
        fields = line.split()
        if " ".join(fields[1:4]) == wanted:
            return int(fields[7])
    return -1


def _hex(place: tuple[str, int]) -> str:
    number = int.from_bytes(bytes(map(int, place[0].split("."))), "little")
    return f"{number:08X}:{place[1]:04X}"
