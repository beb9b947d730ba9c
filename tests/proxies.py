"""Small real proxies on loopback: HTTP with Basic credentials, and SOCKS5 without."""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

USER, PASSWORD = "guest", "THE-PROXY-PASSWORD"
_ENDS = (OSError, EOFError)

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Seen:
    """Where a proxy is, and what it has let through, as `host:port`."""

    def __init__(self) -> None:
        self.url = ""
        self.passed: list[str] = []
        self.refused = 0
        self.is_down = False
        self.own_ports: set[int] = set()
        """Those of this machine from which it connected to where it let somebody through."""

        self.writers: set[asyncio.StreamWriter] = set()
        self.dies_after = -1
        """Once it has let so many through, it is down; negative: never."""

    def die(self) -> None:
        """Be down, and hang up on everybody."""
        self.is_down = True
        for writer in self.writers:
            writer.transport.abort()

    async def connect(self, host: str, port: int) -> Connection:
        """Let somebody through."""
        reader, writer = await asyncio.open_connection(host, port)
        self.own_ports.add(writer.get_extra_info("sockname")[1])
        self.writers.add(writer)
        self.passed.append(f"{host}:{port}")
        return reader, writer


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(*_ENDS):
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
    writer.close()


async def _join(near: Connection, far: Connection) -> None:
    await asyncio.gather(_pump(near[0], far[1]), _pump(far[0], near[1]))


@asynccontextmanager
async def _listening(scheme: str, make: Callable[[Seen], Talk]) -> AsyncIterator[Seen]:
    seen = Seen()
    talk = make(seen)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.writers.add(writer)
        with suppress(*_ENDS):
            if not seen.is_down and len(seen.passed) != seen.dies_after:
                await talk(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    seen.url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield seen
    finally:
        server.close()
        seen.die()


def http_proxy(password: str = PASSWORD) -> AbstractAsyncContextManager[Seen]:
    """One that wants credentials: tunnels, and plain requests, one to a connection."""
    wanted = base64.b64encode(f"{USER}:{password}".encode())

    def make(seen: Seen) -> Talk:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            method, target, _ = head.split(b"\r\n", 1)[0].split(b" ")
            if b"Basic " + wanted not in head:
                seen.refused += 1
                writer.write(
                    b"HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic realm=p\r\n"
                    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
                )
                await writer.drain()
                return
            place, path = target, b""
            if method != b"CONNECT":
                place, _, path = target.removeprefix(b"http://").partition(b"/")
            host, port = place.decode().rsplit(":", 1)
            far = await seen.connect(host, int(port))
            if method == b"CONNECT":
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            else:
                lines = [method + b" /" + path + b" HTTP/1.1"]
                lines += [
                    line
                    for line in head.split(b"\r\n")[1:-2]
                    if not line.lower().startswith((b"proxy-", b"connection:"))
                ]
                far[1].write(b"\r\n".join([*lines, b"Connection: close", b"", b""]))
            await _join((reader, writer), far)

        return talk

    return _listening("http", make)


async def _counted(reader: asyncio.StreamReader) -> bytes:
    return await reader.readexactly((await reader.readexactly(1))[0])


def socks_proxy(password: str = "") -> AbstractAsyncContextManager[Seen]:
    """SOCKS5, with credentials if there is a password."""

    def make(seen: Seen) -> Talk:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            _, count = await reader.readexactly(2)
            methods = await reader.readexactly(count)
            way = 2 if password else 0
            writer.write(bytes([5, way if way in methods else 255]))
            if password:
                await reader.readexactly(1)
                said = [await _counted(reader), await _counted(reader)]
                is_right = said == [USER.encode(), password.encode()]
                seen.refused += not is_right
                writer.write(b"\1\0" if is_right else b"\1\1")
                if not is_right:
                    await writer.drain()
                    return
            kind = (await reader.readexactly(4))[3]
            if kind == 3:
                host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
            else:
                host = ".".join(map(str, await reader.readexactly(4)))
            port = int.from_bytes(await reader.readexactly(2), "big")
            far = await seen.connect(host, port)
            writer.write(b"\5\0\0\1" + bytes(6))
            await _join((reader, writer), far)

        return talk

    return _listening("socks5", make)


class Gate:
    """A way to a site on which each connection is known by the port that it came from."""

    def __init__(self) -> None:
        self.url = ""
        self.ports: list[int] = []


@asynccontextmanager
async def gate_before(url: str) -> AsyncIterator[Gate]:
    """A gate before the site at this address, which is reached by the gate's own one."""
    gate, writers = Gate(), set[asyncio.StreamWriter]()
    host, port = url.removeprefix("http://").rstrip("/").split(":")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        gate.ports.append(writer.get_extra_info("peername")[1])
        far = await asyncio.open_connection(host, int(port))
        writers.update((writer, far[1]))
        await _join((reader, writer), far)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    gate.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield gate
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
