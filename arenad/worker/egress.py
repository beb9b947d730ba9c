"""The way out of one instance: its proxies, checked before use and on interval.

Only a proxy's own failure ever changes the way. What the site says, a refusal above all, is not
looked at here: any answer that comes through a proxy is a proof that it works.
"""

import asyncio
import base64
import ipaddress
import ssl
import time

import yarl

from arenad.errors import Away
from arenad.schema.config import EgressConfig
from arenad.schema.process import Proxy

CHECK_TIMEOUT_S = 10.0
MAX_HEAD_BYTES = 16 * 1024
OK, WANTS_CREDENTIALS = 200, 407
SOCKS_REFUSALS = {
    1: "it failed",
    2: "its rules forbid it",
    3: "no network there",
    4: "no such host",
    5: "the connection was refused",
}


class Failed(Exception):
    """A proxy did not let us through; the message says why, without its credentials."""


class Egress:
    """Chooses among an instance's proxies by the operator's rule."""

    def __init__(self, rules: EgressConfig, proxies: tuple[Proxy, ...], site_url: str) -> None:
        """Nothing is checked yet."""
        self.way = proxies[0] if proxies else None
        self._rules = rules
        self._proxies = proxies
        self._url = yarl.URL(rules.check_url or site_url)
        self._checked_s = 0.0
        self._is_well = False

    async def look(self) -> None:
        """Check the way if it is time. Raises `Away`; what comes next is for `choose`."""
        if not self._rules.proxies or self.way is None or self._is_fresh():
            return
        if why := await self._why_not(self.way):
            raise Away(why)

    async def choose(self) -> Proxy | None:
        """A way that works; `None` is the direct one. Raises `Away` when there is none."""
        if not self._rules.proxies or self._is_fresh():
            return self.way
        rules = self._rules
        faults: list[str] = []
        for proxy in self._proxies if rules.on_failure == "next" else self._proxies[:1]:
            why = await self._why_not(proxy)
            if not why:
                self.way = proxy
                return proxy
            faults.append(why)
        if not rules.fallback_to_direct:
            raise Away("; ".join(faults) or "egress.instances names no proxy for this instance")
        self.way, self._is_well, self._checked_s = None, True, time.monotonic()
        return None

    def _is_fresh(self) -> bool:
        age_s = time.monotonic() - self._checked_s
        return self._is_well and age_s < self._rules.check_interval_s

    async def _why_not(self, proxy: Proxy) -> str:
        self._is_well = False
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_S):
                await knock(proxy, self._url)
        except TimeoutError:
            return f"the proxy {proxy.name} is silent"
        except Failed as error:
            return f"the proxy {proxy.name} {error}"
        except (OSError, EOFError, asyncio.LimitOverrunError) as error:
            return f"the proxy {proxy.name} cannot be used: {type(error).__name__}"
        self._is_well, self._checked_s = True, time.monotonic()
        return ""


async def knock(proxy: Proxy, url: yarl.URL) -> None:
    """See that the proxy lets us through to an address. Raises `Failed`, OSError, EOFError."""
    place = yarl.URL(proxy.url)
    context = ssl.create_default_context() if place.scheme == "https" else None
    reader, writer = await asyncio.open_connection(
        place.host, place.port, ssl=context, limit=MAX_HEAD_BYTES
    )
    try:
        ask = _by_socks if place.scheme == "socks5" else _by_http
        await ask(reader, writer, proxy, url)
    finally:
        writer.transport.abort()


async def _by_http(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, proxy: Proxy, url: yarl.URL
) -> None:
    """A tunnel for https, as the browser makes it; else the head of the page, as it asks for it."""
    is_tunnel = url.scheme == "https"
    there = f"{_bracketed(url)}:{url.port}"
    target = there if is_tunnel else str(url.with_fragment(None))
    lines = [f"{'CONNECT' if is_tunnel else 'HEAD'} {target} HTTP/1.1", f"Host: {there}"]
    if proxy.user:
        secret = base64.b64encode(f"{proxy.user}:{proxy.password}".encode()).decode()
        lines.append(f"Proxy-Authorization: Basic {secret}")
    writer.write("\r\n".join([*lines, "Connection: close", "", ""]).encode())
    first = (await reader.readuntil(b"\r\n")).split()
    if len(first) < 2 or not first[0].startswith(b"HTTP/") or not first[1].isdigit():  # noqa: PLR2004 - version and status
        raise Failed("does not speak HTTP")
    status = int(first[1])
    if status == WANTS_CREDENTIALS:
        had = "does not take its user and password" if proxy.user else "wants user and password"
        raise Failed(f"{had} (407); see egress.proxies.{proxy.name}.password_from")
    if is_tunnel and status != OK:
        raise Failed(f"makes no tunnel to {there} (status {status})")


async def _by_socks(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, proxy: Proxy, url: yarl.URL
) -> None:
    """SOCKS5 of RFC 1928, the name resolved by the proxy."""
    del proxy
    writer.write(b"\5\1\0")
    if await reader.readexactly(2) != b"\5\0":
        raise Failed("does not admit us without credentials, which Chromium cannot give it")
    port = url.port or 0
    writer.write(b"\5\1\0" + _socks_address(url.host or "") + port.to_bytes(2, "big"))
    version, answer = (await reader.readexactly(2))[:2]
    if version != 5 or answer:  # noqa: PLR2004 - SOCKS5
        why = SOCKS_REFUSALS.get(answer, f"reply {answer}")
        raise Failed(f"does not reach {url.host}:{port}: {why}")


def _socks_address(host: str) -> bytes:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = host.encode("idna")
        return b"\3" + bytes([len(name)]) + name
    return (b"\1" if address.version == 4 else b"\4") + address.packed  # noqa: PLR2004 - IPv4


def _bracketed(url: yarl.URL) -> str:
    return f"[{url.host}]" if ":" in (url.host or "") else str(url.host)
