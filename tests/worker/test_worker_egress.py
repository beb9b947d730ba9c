"""The way out: checks through real proxies, and what changes it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from proxies import PASSWORD, USER, Seen, http_proxy, socks_proxy
from scripted_browser import tell

from arenad.errors import Away
from arenad.schema.config import EgressConfig, ProxyConfig
from arenad.schema.process import Proxy
from arenad.worker.egress import Egress

OFTEN_S = 1e-9
"""No check is fresh."""

GONE = Proxy(name="gone", url="http://127.0.0.1:9")


@asynccontextmanager
async def _site(status: int) -> AsyncIterator[str]:
    """A site that answers everything with this status."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status)

    app = web.Application()
    app.router.add_route("*", "/{any:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


def _proxy(name: str, seen: Seen) -> Proxy:
    return Proxy(name=name, url=seen.url, user=USER, password=PASSWORD)


def _egress(url: str, *proxies: Proxy, **given: object) -> Egress:
    known = {each.name: ProxyConfig(url=each.url) for each in proxies or (GONE,)}
    rules = EgressConfig(proxies=known, check_interval_s=OFTEN_S, **given)  # pyright: ignore[reportArgumentType] - by name
    return Egress(rules, proxies, url)


@pytest.mark.parametrize("status", [200, 403, 429, 502, 503])
def test_no_refusal_of_the_site_changes_the_way(status: int) -> None:
    """By design: whatever the site says, it came through the proxy, which therefore works."""

    async def story() -> None:
        async with _site(status) as url, http_proxy() as one, http_proxy() as two:
            own = _proxy("one", one)
            egress = _egress(url, own, _proxy("two", two), on_failure="next")
            for _ in range(3):
                assert await egress.choose() == own
                await egress.look()
            assert len(one.passed) == 6
            assert not two.passed

    tell(story())


def test_a_failed_proxy_rests_or_is_left_as_the_rule_says() -> None:
    """And comes back to its own once that works again; the direct way only if it is allowed."""

    async def story() -> None:
        async with _site(200) as url, http_proxy() as one, socks_proxy() as two:
            own, other = _proxy("one", one), Proxy(name="two", url=two.url)
            resting = _egress(url, own, other)
            moving = _egress(url, own, other, on_failure="next")
            direct = _egress(url, own, fallback_to_direct=True)
            one.is_down = True
            with pytest.raises(Away, match="the proxy one"):
                await resting.choose()
            assert not two.passed
            assert await moving.choose() == other
            assert await direct.choose() is None
            one.is_down = False
            assert await resting.choose() == own
            assert await moving.choose() == own
            assert await direct.choose() == own

    tell(story())


def test_a_wrong_password_is_told_without_it() -> None:
    """The message names the proxy, and the field with the remedy."""

    async def story() -> None:
        async with _site(200) as url, http_proxy() as seen:
            wrong = Proxy(name="one", url=seen.url, user=USER, password="WRONG-SECRET")
            with pytest.raises(Away) as caught:
                await _egress(url, wrong).choose()
            assert "does not take its user and password (407)" in caught.value.message
            assert "egress.proxies.one.password_from" in caught.value.message
            assert "WRONG-SECRET" not in caught.value.message

    tell(story())


def test_an_instance_without_a_proxy_does_not_go_directly() -> None:
    """Where there are proxies, having none is no permission."""

    async def story() -> None:
        with pytest.raises(Away, match=r"egress\.instances names no proxy"):
            await _egress("http://127.0.0.1:9/").choose()

    tell(story())


def test_no_proxies_no_checks() -> None:
    """Then the way is the machine's own."""

    async def story() -> None:
        egress = Egress(EgressConfig(), (), "http://127.0.0.1:9/")
        assert await egress.choose() is None
        await egress.look()

    tell(story())


def test_https_is_checked_by_a_tunnel_and_odd_peers_are_named() -> None:
    """A tunnel to the address and no more; who speaks another language is no proxy."""

    async def odd(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-x\r\n")
        await writer.drain()
        writer.close()

    async def story() -> None:
        async with _site(200) as url, http_proxy() as seen:
            secure = url.replace("http://", "https://")
            await _egress(secure, _proxy("one", seen)).choose()
            assert seen.passed == [url.removeprefix("http://").rstrip("/")]
            server = await asyncio.start_server(odd, "127.0.0.1", 0)
            place = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            with pytest.raises(Away, match="does not speak HTTP"):
                await _egress(url, Proxy(name="odd", url=place)).choose()
            server.close()
            await server.wait_closed()

    tell(story())
