"""Small real proxies on loopback: HTTP with Basic credentials, and SOCKS5 without."""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

USER, PASSWORD = "guest", "THE-PROXY-PASSWORD"
_ENDS = (OSError, EOFError)

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Seen:
    """Where a proxy is, and what it has let through, as `host:port`."""

    def __init__(self) -> None:
        self.url = ""
        self.passed: list[str] = []
        self.refused = 0
        self.is_down = False


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(*_ENDS):
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
    writer.close()


async def _join(
    near: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    far: tuple[asyncio.StreamReader, asyncio.StreamWriter],
) -> None:
    await asyncio.gather(_pump(near[0], far[1]), _pump(far[0], near[1]))


@asynccontextmanager
async def _listening(scheme: str, make: Callable[[Seen], Talk]) -> AsyncIterator[Seen]:
    seen, writers = Seen(), set[asyncio.StreamWriter]()
    talk = make(seen)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        with suppress(*_ENDS):
            if not seen.is_down:
                await talk(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    seen.url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield seen
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()


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
            far = await asyncio.open_connection(host, int(port))
            seen.passed.append(place.decode())
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


def socks_proxy() -> AbstractAsyncContextManager[Seen]:
    """SOCKS5 without credentials."""

    def make(seen: Seen) -> Talk:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            _, count = await reader.readexactly(2)
            await reader.readexactly(count)
            writer.write(b"\5\0")
            kind = (await reader.readexactly(4))[3]
            if kind == 3:
                host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
            else:
                host = ".".join(map(str, await reader.readexactly(4)))
            port = int.from_bytes(await reader.readexactly(2), "big")
            far = await asyncio.open_connection(host, port)
            seen.passed.append(f"{host}:{port}")
            writer.write(b"\5\0\0\1" + bytes(6))
            await _join((reader, writer), far)

        return talk

    return _listening("socks5", make)
