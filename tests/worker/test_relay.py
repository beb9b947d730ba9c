"""The relay into a SOCKS5 proxy with a password: whole bytes, right ends, and for us alone."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import yarl
from proxies import PASSWORD, USER, Connection, Seen, socks_proxy
from scripted_browser import tell, until

from arenad.schema.process import Proxy
from arenad.worker import relay, socks
from arenad.worker.relay import Relay, owner_of

DIRECT = Proxy(name="seen", url="socks5://127.0.0.1:9")


@asynccontextmanager
async def _echo() -> AsyncIterator[int]:
    """A server that says what it hears, until the end of that; its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


@asynccontextmanager
async def _relay(seen: Seen, password: str = PASSWORD) -> AsyncIterator[Proxy]:
    own = Relay(Proxy(name="far", url=seen.url, user=USER, password=password))
    try:
        yield await own.open()
    finally:
        await own.close()


async def _connected(near: Proxy) -> Connection:
    url = yarl.URL(near.url)
    return await asyncio.open_connection(url.host, url.port)


def test_bytes_pass_whole_and_ends_are_passed_on() -> None:
    """A name and a number as the address; more than any buffer holds; the browser is told nothing."""

    async def story() -> None:
        async with _echo() as port, socks_proxy(PASSWORD) as seen, _relay(seen) as near:
            assert (near.name, near.user, near.password) == ("far", "", "")
            said = os.urandom(3_000_000)
            for host in ("localhost", "127.0.0.1"):
                reader, writer = await _connected(near)
                await socks.greet(reader, writer, DIRECT)
                assert await socks.ask(reader, writer, socks.place(host, port)) == 0
                writer.write(said)
                assert await reader.readexactly(len(said)) == said
                writer.close()
            assert seen.passed == [f"localhost:{port}", f"127.0.0.1:{port}"]

    tell(story())


def test_the_end_of_one_side_is_the_end_of_both() -> None:
    """A browser that leaves holds no place; what a site said last arrives before its end."""

    async def story() -> None:
        async with _saying(b"last words") as port, socks_proxy(PASSWORD) as seen:
            own = Relay(Proxy(name="far", url=seen.url, user=USER, password=PASSWORD))
            near = await own.open()
            for is_leaving in (True, False):
                reader, writer = await _connected(near)
                await socks.greet(reader, writer, DIRECT)
                assert await socks.ask(reader, writer, socks.place("127.0.0.1", port)) == 0
                if is_leaving:
                    writer.close()
                else:
                    writer.write(b"?")
                    assert await reader.read() == b"last words"
                    writer.close()
                await until(lambda: own._connections == 0)
            assert not own._writers
            await own.close()
        async with _answering(0) as seen:
            own = Relay(Proxy(name="far", url=seen.url, user=USER, password=PASSWORD))
            reader, writer = await _connected(await own.open())
            await socks.greet(reader, writer, DIRECT)
            assert await socks.ask(reader, writer, socks.place("127.0.0.1", 9)) == 0
            writer.close()
            await until(lambda: own._connections == 0)
            await own.close()

    tell(story())


@asynccontextmanager
async def _saying(text: bytes) -> AsyncIterator[int]:
    """A server that says this to whoever asks, and hangs up; its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(1):
            writer.write(text)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


def test_nobody_else_is_answered(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Another user's connection ends before a byte; the proxy hears nothing of it."""
    own = os.geteuid()
    monkeypatch.setattr(relay.os, "geteuid", lambda: own + 1)

    async def story() -> None:
        async with socks_proxy(PASSWORD) as seen, _relay(seen) as near:
            reader, writer = await _connected(near)
            writer.write(b"\5\1\0")
            with pytest.raises((asyncio.IncompleteReadError, OSError)):
                await reader.readexactly(2)
            writer.close()
            assert not seen.writers

    tell(story())
    assert "somebody else asked for the proxy far, and was refused" in caplog.text


def test_the_kernel_knows_whose_a_socket_is() -> None:
    """By both of its ends; one that is not there is nobody's."""

    async def story() -> None:
        async with _echo() as port:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            here = writer.get_extra_info("sockname")[:2]
            table = relay.TABLE.read_text()
            assert owner_of(table, here, ("127.0.0.1", port)) == os.geteuid()
            assert owner_of(table, here, ("127.0.0.2", port)) == -1
            assert owner_of(table, ("127.0.0.1", port), ("127.0.0.1", port)) == -1
            writer.close()

    tell(story())


@pytest.mark.parametrize(
    "said", [b"GET / HTTP/1.1\r\n\r\n", b"\4\1", b"\5\1\2", b"\5\1\0\5\2\0\1" + bytes(6), b""]
)
def test_what_is_no_wish_to_connect_ends(said: bytes) -> None:
    """A page that asks by HTTP, another version, credentials, a listening socket, nothing."""

    async def story() -> None:
        async with socks_proxy(PASSWORD) as seen, _relay(seen) as near:
            reader, writer = await _connected(near)
            writer.write(said)
            writer.write_eof()
            heard = b""
            with suppress(OSError):
                heard = await reader.read()
            assert heard in (b"", b"\5\0")
            writer.close()
            assert not seen.writers

    tell(story())


def test_a_refusal_is_passed_on_and_a_wrong_password_ends() -> None:
    """The browser gets the proxy's own word where there is one."""

    async def story() -> None:
        async with socks_proxy(PASSWORD) as seen, _relay(seen, "WRONG-SECRET") as near:
            reader, writer = await _connected(near)
            await socks.greet(reader, writer, DIRECT)
            with pytest.raises((asyncio.IncompleteReadError, OSError)):
                await socks.ask(reader, writer, socks.place("127.0.0.1", 9))
            assert seen.refused == 1
            writer.close()
        async with _answering(2) as seen, _relay(seen) as near:
            reader, writer = await _connected(near)
            await socks.greet(reader, writer, DIRECT)
            assert await socks.ask(reader, writer, socks.place("127.0.0.1", 9)) == 2
            writer.close()

    tell(story())


@asynccontextmanager
async def _answering(reply: int) -> AsyncIterator[Seen]:
    """A proxy that admits everybody, and hangs up on nobody whom it has let through."""
    over, ends = asyncio.Event(), list[asyncio.StreamWriter]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(3)
        writer.write(b"\5\2")
        await reader.readexactly(3 + len(USER) + len(PASSWORD))
        writer.write(b"\1\0")
        await reader.readexactly(10)
        writer.write(bytes([5, reply, 0, 1]) + bytes(6))
        await writer.drain()
        ends.append(writer)
        await over.wait()

    server, seen = await asyncio.start_server(serve, "127.0.0.1", 0), Seen()
    seen.url = f"socks5://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield seen
    over.set()
    for each in ends:
        each.transport.abort()
    server.close()
