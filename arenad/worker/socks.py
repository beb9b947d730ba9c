"""SOCKS5 as a client: who comes (RFC 1929), and where to (RFC 1928)."""

import asyncio
import ipaddress

from arenad.schema.process import Proxy

VERSION, CONNECT = 5, 1
PLAIN, BY_PASSWORD = 0, 2
ADDRESS_BYTES = {1: 4, 4: 16}
NAME = 3
REFUSALS = {
    1: "it failed",
    2: "its rules forbid it",
    3: "no network there",
    4: "no such host",
    5: "the connection was refused",
}


class Failed(Exception):
    """A proxy did not let us through; the message says why, without its credentials."""


async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, proxy: Proxy) -> None:
    """Be admitted. Raises `Failed`, OSError, EOFError."""
    wanted = BY_PASSWORD if proxy.user else PLAIN
    writer.write(bytes([VERSION, 1, wanted]))
    if await reader.readexactly(2) != bytes([VERSION, wanted]):
        why = "takes no user and password" if proxy.user else "does not admit us without a password"
        raise Failed(f"{why}; see egress.proxies.{proxy.name}")
    if proxy.user:
        user, password = proxy.user.encode(), proxy.password.encode()
        writer.write(b"\1" + bytes([len(user)]) + user + bytes([len(password)]) + password)
        if (await reader.readexactly(2))[1]:
            field = f"egress.proxies.{proxy.name}.password_from"
            raise Failed(f"does not take its user and password; see {field}")


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, where: bytes) -> int:
    """Have the proxy connect there (an address and its port, as on the wire); gives its reply."""
    writer.write(bytes([VERSION, CONNECT, 0]) + where)
    version, reply, _, kind = await reader.readexactly(4)
    if version != VERSION:
        raise Failed("does not speak SOCKS5")
    if not reply:
        await reader.readexactly(await _length(reader, kind) + 2)  # from where it connected
    return reply


async def told(reader: asyncio.StreamReader) -> bytes:
    """An address and its port as they come, whole. Raises `Failed`, EOFError."""
    kind = (await reader.readexactly(1))[0]
    if kind == NAME:
        size = await reader.readexactly(1)
        return bytes([kind]) + size + await reader.readexactly(size[0] + 2)
    return bytes([kind]) + await reader.readexactly(await _length(reader, kind) + 2)


async def _length(reader: asyncio.StreamReader, kind: int) -> int:
    if kind == NAME:
        return (await reader.readexactly(1))[0]
    if kind not in ADDRESS_BYTES:
        raise Failed(f"tells an address of the unknown kind {kind}")
    return ADDRESS_BYTES[kind]


def place(host: str, port: int) -> bytes:
    """An address and its port for the wire; names are for the proxy to resolve."""
    return _address(host) + port.to_bytes(2, "big")


def _address(host: str) -> bytes:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = host.encode("idna")
        return bytes([NAME, len(name)]) + name
    return (b"\1" if address.version == 4 else b"\4") + address.packed  # noqa: PLR2004 - IPv4
