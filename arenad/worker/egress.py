"""The way out of one instance: its proxies, checked before use and on interval.

Only a proxy's own failure ever changes the way. What the site says, a refusal above all, is not
looked at here: any answer that comes through a proxy is a proof that it works. So does a way that
was left stay left: a proxy that works again is gone back to by an instance that begins anew.
"""

import asyncio
import base64
import logging
import re
import ssl
import time

import yarl

from arenad.errors import Away
from arenad.schema.config import EgressConfig
from arenad.schema.process import Proxy
from arenad.worker import socks
from arenad.worker.socks import Failed

CHECK_TIMEOUT_S = 10.0
MAX_HEAD_BYTES = 16 * 1024
OK, WANTS_CREDENTIALS = 200, 407
GOLDEN = (5**0.5 - 1) / 2

log = logging.getLogger("arenad.egress")


class Egress:
    """Chooses among an instance's proxies by the operator's rule."""

    def __init__(
        self, rules: EgressConfig, proxies: tuple[Proxy, ...], site_url: str, instance: str = "w1"
    ) -> None:
        """Nothing is checked yet."""
        self.way = proxies[0] if proxies else None
        self._rules = rules
        self._proxies = proxies
        self._url = yarl.URL(rules.check_url or site_url)
        self._well_s: dict[str, float] = {}
        self._is_direct = False
        self._turn_s = time.monotonic() + rules.rotation_interval_s * share_of(instance)

    def doubt(self) -> None:
        """Something did not come through: the next look or choice checks the way at once."""
        if self.way is not None:
            self._well_s.pop(self.way.name, None)

    async def blame(self) -> None:
        """Something failed for which the way may be at fault: raises `Away` if it is."""
        self.doubt()
        await self.look()

    async def look(self) -> None:
        """Check the way if it is time. Raises `Away`; what comes next is for `choose`."""
        if not self._rules.proxies or self.way is None or self._is_fresh(self.way):
            return
        if why := await self._why_not(self.way):
            raise Away(why)

    async def choose(self) -> Proxy | None:
        """The way there is if it works, else another; `None` is the direct one.

        Raises `Away` when there is none.
        """
        rules = self._rules
        if not rules.proxies or self._is_direct:
            return self.way
        if self.way is not None and self._is_fresh(self.way):
            return self.way
        faults: list[str] = []
        for proxy in self._in_order():
            why = await self._why_not(proxy)
            if not why:
                self.way = proxy
                return proxy
            faults.append(why)
        if not rules.fallback_to_direct:
            raise Away("; ".join(faults) or "egress.instances names no proxy for this instance")
        self.way, self._is_direct = None, True
        return None

    def keep_to(self, way: Proxy | None) -> None:
        """Another way was chosen, but could not be taken: this one is still the way."""
        self.way, self._is_direct = way, self._is_direct and way is None
        self.doubt()

    # -- by plan -----------------------------------------------------------------------------------

    def skip_turns(self) -> None:
        """Now is no time to turn: a turn that is due is left out, and never made up for."""
        late_s = time.monotonic() - self._turn_s
        if (every_s := self._rules.rotation_interval_s) and late_s >= 0:
            self._turn_s += every_s * (1 + late_s // every_s)

    async def turn(self, *, has_answered: bool) -> str:
        """Take the next way that works if that is due by plan; why it was, empty if it was not."""
        rules = self._rules
        if rules.assign == "per_request" and rules.proxies and has_answered:
            why = "egress.assign per_request"
        elif rules.rotation_interval_s and time.monotonic() >= self._turn_s:
            why = f"egress.rotation_interval_s {rules.rotation_interval_s:g}"
            self.skip_turns()
        else:
            return ""
        before = self.way
        for proxy in self._others():
            if self._is_fresh(proxy) or not (fault := await self._why_not(proxy)):
                self.way = proxy
                break
            log.warning("%s: passed over, %s", why, fault)
        return why if rules.assign == "per_request" or self.way != before else ""

    def _others(self) -> tuple[Proxy, ...]:
        """The ways after the one there is; none after the direct one, which is kept."""
        if self.way is None:
            return ()
        at = self._proxies.index(self.way)
        return self._proxies[at + 1 :] + self._proxies[:at]

    def _in_order(self) -> tuple[Proxy, ...]:
        """The way there is, and those after it that may be taken instead."""
        own = self._proxies
        at = own.index(self.way) if self.way is not None else 0
        return (own[at:] + own[:at]) if self._rules.on_failure == "next" else own[at : at + 1]

    # -- checks ------------------------------------------------------------------------------------

    def _is_fresh(self, proxy: Proxy) -> bool:
        checked_s = self._well_s.get(proxy.name)
        return checked_s is not None and (
            time.monotonic() - checked_s < self._rules.check_interval_s
        )

    async def _why_not(self, proxy: Proxy) -> str:
        self._well_s.pop(proxy.name, None)
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_S):
                await knock(proxy, self._url)
        except TimeoutError:
            return f"the proxy {proxy.name} is silent"
        except Failed as error:
            return f"the proxy {proxy.name} {error}"
        except (OSError, EOFError, asyncio.LimitOverrunError) as error:
            return f"the proxy {proxy.name} cannot be used: {type(error).__name__}"
        self._well_s[proxy.name] = time.monotonic()
        return ""


def share_of(instance: str) -> float:
    """Where in each interval this instance has its turn: by number, as far from others as may be.

    Multiples of the golden section leave no wide gap and meet no neighbour, however many there are.
    """
    digits = re.search(r"[0-9]+\Z", instance)
    return int(digits[0]) * GOLDEN % 1.0 if digits else GOLDEN


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
        lines.append(f"Proxy-Authorization: {basic(proxy)}")
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


def basic(proxy: Proxy) -> str:
    """Who comes, as an HTTP proxy is told (RFC 7617)."""
    return f"Basic {base64.b64encode(f'{proxy.user}:{proxy.password}'.encode()).decode()}"


async def _by_socks(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, proxy: Proxy, url: yarl.URL
) -> None:
    """The name is resolved by the proxy."""
    host, port = url.host or "", url.port or 0
    await socks.greet(reader, writer, proxy)
    if reply := await socks.ask(reader, writer, socks.place(host, port)):
        why = socks.REFUSALS.get(reply, f"reply {reply}")
        raise Failed(f"does not reach {host}:{port}: {why}")


def _bracketed(url: yarl.URL) -> str:
    return f"[{url.host}]" if ":" in (url.host or "") else str(url.host)
