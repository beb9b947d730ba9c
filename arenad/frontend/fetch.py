"""Bring what a request only names by its address, where the operator allows that.

Only http and https, only public addresses (unless that, too, is allowed), each redirect looked at
anew, no cookies, no proxies, bounded in time and bytes.
"""

import asyncio
import ipaddress
import socket
from urllib.parse import unquote, urljoin, urlsplit

import aiohttp
from msgspec.structs import replace

from arenad import media
from arenad.errors import InvalidRequest
from arenad.frontend import parts
from arenad.frontend.vocabulary import Wish
from arenad.schema.chat import Attachment
from arenad.schema.config import FilesConfig

MAX_REDIRECTS = 3
_CHUNK_BYTES = 64 * 1024
_EMBEDDED = ipaddress.ip_network("64:ff9b::/96")
"""IPv6 addresses that a translator turns into the IPv4 address in their end (RFC 6052)."""

_LOCAL = tuple(map(ipaddress.ip_network, ("64:ff9b:1::/48", "::/96", "fec0::/10")))
"""Of nobody in the internet (RFC 8215, 4291, 3879), but Python 3.11 takes them for global."""

_AddressInfo = tuple[int, int, int, str, tuple[object, ...]]
"""As of `socket.getaddrinfo`."""

_HEADERS = {"Accept-Encoding": "identity", "User-Agent": "arenad"}


class _NotPublic(OSError):
    """An address that is not fetched from."""


async def filled(wish: Wish, limits: FilesConfig) -> Wish:
    """The wish with all its files. Raises `InvalidRequest` naming the field, value and remedy."""
    if not wish.remote:
        return wish
    size_bytes = sum(len(each.content) for turn in wish.turns for each in turn.attachments)
    fetched: list[Attachment] = []
    async with _session(limits) as session:
        for remote in wish.remote:
            fetched.append(file := await _fetched(session, remote, limits))
            size_bytes += len(file.content)
            parts.check_total(file.param, size_bytes, limits)
    return replace(wish, turns=parts.placed(wish.turns, wish.remote, fetched), remote=())


def is_public(address: str) -> bool:
    """Whether an IP address is one of the internet, by whatever way it is written."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if ip in _EMBEDDED:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
        if inner is not None:
            return is_public(str(inner))
        if any(ip in each for each in _LOCAL):
            return False
    return ip.is_global and not ip.is_multicast


def _public_socket(address: _AddressInfo) -> socket.socket:
    """A socket for the very address that it is connected to next, however the host was written."""
    family, kind, protocol, _, where = address
    if not is_public(str(where[0])):
        raise _NotPublic("it leads to an address that is not public")
    return socket.socket(family, kind, protocol)


def _session(limits: FilesConfig) -> aiohttp.ClientSession:
    made = None if limits.fetch_private else _public_socket
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(socket_factory=made, use_dns_cache=False, limit=1),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=_HEADERS,
        trust_env=False,
    )


async def _fetched(
    session: aiohttp.ClientSession, remote: parts.Remote, limits: FilesConfig
) -> Attachment:
    try:
        async with asyncio.timeout(limits.fetch_timeout_s):
            file = await _followed(session, remote, limits)
    except TimeoutError:
        raise _told(remote, f"was not here within {limits.fetch_timeout_s:g} s") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        inner = error.__cause__ if isinstance(error.__cause__, _NotPublic) else error
        if isinstance(inner, _NotPublic):
            raise _told(remote, f"is refused: {inner} (files.fetch_private)") from None
        raise _told(remote, f"cannot be fetched ({inner or type(inner).__name__})") from None
    if not file.content:
        raise _told(remote, "is empty there")
    return file


def _told(remote: parts.Remote, what: str) -> InvalidRequest:
    remedy = "send the file itself as a data URL"
    told = f"{remote.param}: {parts.shown(remote.url)} {what}; {remedy}"
    return InvalidRequest(told, param=remote.param)


async def _followed(
    session: aiohttp.ClientSession, remote: parts.Remote, limits: FilesConfig
) -> Attachment:
    url = remote.url
    for _ in range(MAX_REDIRECTS + 1):
        if (scheme := urlsplit(url).scheme) not in ("http", "https"):
            raise _NotPublic(f"it leads to {scheme or 'no'} address")
        async with session.get(url, allow_redirects=False) as response:
            if response.status in (301, 302, 303, 307, 308):
                url = urljoin(url, response.headers.get("Location", ""))
                continue
            if response.status != 200:  # noqa: PLR2004 - HTTP's own number for success
                raise _told(remote, f"was answered with {response.status}")
            return await _read(response, remote, limits)
    raise _told(remote, f"leads on more than {MAX_REDIRECTS} times")


async def _read(
    response: aiohttp.ClientResponse, remote: parts.Remote, limits: FilesConfig
) -> Attachment:
    kind = media.plain_type(response.headers.get("Content-Type", ""))
    parts.check_type(remote.param, kind, limits)
    parts.check_size(remote.param, response.content_length or 0, limits)
    content = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
        content += chunk
        parts.check_size(remote.param, len(content), limits)
    name = remote.name or unquote(urlsplit(remote.url).path).rpartition("/")[2]
    return Attachment(name=name, content_type=kind, content=bytes(content), param=remote.param)
