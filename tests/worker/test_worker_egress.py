"""The way out: checks through real proxies, and what changes it."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from proxies import PASSWORD, USER, Seen, http_proxy, socks_proxy
from scripted_browser import tell

from arenad.errors import Away
from arenad.schema.config import EgressConfig, ProxyConfig
from arenad.schema.process import Proxy
from arenad.worker.egress import Egress, share_of

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
    """The way that works is kept, the direct one too, which is taken only if it is allowed."""

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
            assert await moving.choose() == other
            assert await direct.choose() is None
            await moving.look()
            await direct.look()

    tell(story())


def test_the_way_wanders_on_only_when_it_fails_itself() -> None:
    """From the third of three the first is next; all failing, it stays where it was."""

    async def story() -> None:
        async with (
            _site(200) as url,
            http_proxy() as one,
            http_proxy() as two,
            http_proxy() as third,
        ):
            all_seen = (one, two, third)
            ways = [_proxy(f"{at}", seen) for at, seen in enumerate(all_seen)]
            egress = _egress(url, *ways, on_failure="next")
            one.is_down = two.is_down = True
            assert await egress.choose() == ways[2]
            one.is_down, third.is_down = False, True
            assert await egress.choose() == ways[0]
            one.is_down = True
            with pytest.raises(Away, match=r"proxy 0 .*proxy 1 .*proxy 2 "):
                await egress.choose()
            two.is_down = one.is_down = False
            assert await egress.choose() == ways[0]

    tell(story())


def test_a_doubt_is_a_check_at_once() -> None:
    """Else a way is fresh for as long as the rule says; one not taken leaves the last one."""

    async def story() -> None:
        async with _site(200) as url, http_proxy() as one, http_proxy() as two:
            ways = _proxy("one", one), _proxy("two", two)
            known = {each.name: ProxyConfig(url=each.url) for each in ways}
            egress = Egress(EgressConfig(proxies=known, on_failure="next"), ways, url)
            for _ in range(2):
                assert await egress.choose() == ways[0]
            await egress.look()
            assert len(one.passed) == 1
            one.is_down = True
            await egress.look()
            egress.doubt()
            with pytest.raises(Away, match="the proxy one"):
                await egress.look()
            assert await egress.choose() == ways[1]
            egress.keep_to(ways[0])
            with pytest.raises(Away, match="the proxy one"):
                await egress.look()

    tell(story())


def test_a_plan_turns_and_passes_over_what_fails() -> None:
    """One after the other, in a circle; where no other works nothing changes."""

    async def story() -> None:
        async with (
            _site(200) as url,
            http_proxy() as one,
            http_proxy() as two,
            http_proxy() as third,
        ):
            all_seen = (one, two, third)
            ways = [_proxy(f"{at}", seen) for at, seen in enumerate(all_seen)]
            egress = _egress(url, *ways, rotation_interval_s=OFTEN_S)
            two.is_down = True
            for at in (2, 0, 2):
                assert await egress.turn(has_answered=False) == "egress.rotation_interval_s 1e-09"
                assert (egress.way, await egress.choose()) == (ways[at], ways[at])
            one.is_down = True
            assert await egress.turn(has_answered=True) == ""
            assert await egress.choose() == ways[2]

    tell(story())


def test_a_turn_that_fell_into_a_rest_is_left_out() -> None:
    """And the plan goes on at its own times."""

    async def story() -> None:
        async with _site(200) as url, http_proxy() as one, http_proxy() as two:
            ways = _proxy("one", one), _proxy("two", two)
            egress = _egress(url, *ways, rotation_interval_s=1000)
            assert await egress.turn(has_answered=True) == ""
            egress._turn_s -= 2500
            egress.skip_turns()
            assert await egress.turn(has_answered=True) == ""
            left_s = egress._turn_s - time.monotonic()
            assert 0 < left_s <= 1000
            egress._turn_s -= left_s
            assert await egress.turn(has_answered=True)
            assert (egress.way, await egress.turn(has_answered=True)) == (ways[1], "")

    tell(story())


def test_turns_are_spread_over_instances() -> None:
    """Whichever numbers there are, no two of them turn at nearly the same time."""
    for count in (2, 3, 8, 32):
        shares = sorted(share_of(f"w{number}") for number in range(1, count + 1))
        gaps = [b - a for a, b in itertools.pairwise([*shares, shares[0] + 1])]
        assert min(gaps) > 0.35 / count
        assert max(gaps) < 2.7 / count


def test_each_answer_is_a_turn_if_that_is_the_rule() -> None:
    """A fresh session in any case; the direct way that was fallen back to stays."""

    async def story() -> None:
        async with _site(200) as url, http_proxy() as one, http_proxy() as two:
            ways = _proxy("one", one), _proxy("two", two)
            egress = _egress(url, *ways, assign="per_request", fallback_to_direct=True)
            assert await egress.turn(has_answered=False) == ""
            for way in (ways[1], ways[0]):
                assert await egress.turn(has_answered=True) == "egress.assign per_request"
                assert egress.way == way
            one.is_down = two.is_down = True
            assert await egress.choose() is None
            one.is_down = two.is_down = False
            assert await egress.turn(has_answered=True) == "egress.assign per_request"
            assert egress.way is None

    tell(story())


def test_no_way_is_not_the_direct_way() -> None:
    """Also not when a change of it failed."""

    async def story() -> None:
        egress = _egress("http://127.0.0.1:9/")
        egress.keep_to(None)
        with pytest.raises(Away):
            await egress.choose()

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


def test_a_socks_proxy_is_told_who_comes() -> None:
    """With its password it lets us through; a wrong one, and none, are told without it."""

    async def story() -> None:
        async with _site(200) as url, socks_proxy(PASSWORD) as seen:
            own = _proxy("one", seen)
            assert await _egress(url, own).choose() == own
            wrong = Proxy(name="one", url=seen.url, user=USER, password="WRONG-SECRET")
            with pytest.raises(Away, match=r"not take its user and .*egress.proxies.one") as caught:
                await _egress(url, wrong).choose()
            assert "WRONG-SECRET" not in caught.value.message
            with pytest.raises(Away, match="does not admit us without a password"):
                await _egress(url, Proxy(name="one", url=seen.url)).choose()
        async with _site(200) as url, socks_proxy() as seen:
            with pytest.raises(Away, match="takes no user and password"):
                await _egress(url, _proxy("one", seen)).choose()

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
