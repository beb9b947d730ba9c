"""The door: who connects is served, or waits while there are no descriptors, and never turned away."""

import asyncio
import contextlib
import os
import resource
import socket
from collections.abc import Iterator

import uvloop

from arenad.frontend.door import Door


class Echo(asyncio.Protocol):
    """Sends back what it gets."""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


def listening() -> socket.socket:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    return listener


async def echoed(port: int, said: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(said)
        return await asyncio.wait_for(reader.readexactly(len(said)), 10)
    finally:
        writer.close()
        await writer.wait_closed()


@contextlib.contextmanager
def no_descriptors() -> Iterator[None]:
    """This process may open nothing more."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)  # the lowest free number: none at or above it may be taken
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def run(scene) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scene)


def test_connections_are_served() -> None:
    """Several at once, each by its own protocol."""

    async def scene():
        listener = listening()
        port = listener.getsockname()[1]
        door = Door(listener, Echo)
        words = [b"one", b"two", b"three"]
        assert await asyncio.gather(*(echoed(port, each) for each in words)) == words
        door.close()

    run(scene())


def test_without_descriptors_a_connection_waits() -> None:
    """It is neither reset nor closed, and is served as soon as there is room."""

    async def scene():
        listener = listening()
        door = Door(listener, Echo)
        with socket.create_connection(listener.getsockname()) as client:
            client.setblocking(False)  # connected by the kernel, not yet accepted
            with no_descriptors():
                await asyncio.sleep(0)
                door._accept()
                assert door._pause is not None
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(client, b"still here")
            assert await asyncio.wait_for(loop.sock_recv(client, 100), 10) == b"still here"
        door.close()

    run(scene())


def test_a_closed_door_keeps_who_is_in() -> None:
    """New ones are refused; the one inside is still answered; closing twice is closing once."""

    async def scene():
        listener = listening()
        port = listener.getsockname()[1]
        door = Door(listener, Echo)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"a")
        assert await reader.readexactly(1) == b"a"
        door.close()
        door.close()
        writer.write(b"b")
        assert await reader.readexactly(1) == b"b"
        with contextlib.suppress(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
            raise AssertionError("somebody was let in")
        writer.close()

    run(scene())


def test_another_was_quicker() -> None:
    """A wake-up without a connection, as siblings on one listener have it, is nothing."""

    async def scene():
        door = Door(listening(), Echo)
        door._accept()
        assert door._pause is None
        door.close()

    run(scene())
