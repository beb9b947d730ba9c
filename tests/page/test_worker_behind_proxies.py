"""A whole worker behind real proxies: everything goes through them, and only their failure counts."""

from contextlib import suppress
from pathlib import Path

import pytest
from proxies import PASSWORD, USER, Seen, http_proxy, socks_proxy
from real_browser import ENOUGH_S, browser_in, serving_demo, tell, until
from whole_worker import Master, whole_worker

from arenad import link
from arenad.schema.chat import Began, Chat, Finish, TextDelta, Turn
from arenad.schema.config import EgressConfig, ProxyConfig
from arenad.schema.process import Proxy, Ready, SessionIs, Stop
from arenad.worker.devtools import DevToolsError
from arenad.worker.page import Page

pytestmark = pytest.mark.usefixtures("own_logging")
TEXT = "one two three Grüße 漢字"
NOWHERE = "http://127.0.0.1:9"


def _rules(**given: object) -> EgressConfig:
    """Rules under which there are proxies; which ones, the worker is told apart."""
    some = {"some": ProxyConfig(url=NOWHERE)}
    return EgressConfig(proxies=some, **given)  # pyright: ignore[reportArgumentType] - by name


def _behind(seen: Seen, name: str = "lisbon", password: str = PASSWORD) -> Proxy:
    user = USER if seen.url.startswith("http") else ""
    return Proxy(name=name, url=seen.url, user=user, password=password if user else "")


def _reasons(master: Master) -> str:
    return "\n".join(note.reason for note in master.heard if isinstance(note, SessionIs))


async def _ready(master: Master) -> None:
    await until(lambda: "ready" in master.conditions())


async def _chat(master: Master) -> str:
    frontend = await link.connect(str(master.socket_path), "w1", ENOUGH_S)
    turn = Turn(role="user", text=TEXT)
    stream = frontend.stream(Chat("r", "demo-echo", (turn,), ENOUGH_S, ENOUGH_S, ENOUGH_S))
    said, body = "", await stream.receive(ENOUGH_S)
    while isinstance(body, TextDelta | Began):
        said += body.text if isinstance(body, TextDelta) else ""
        body = await stream.receive(ENOUGH_S)
    frontend.close()
    assert body == Finish("stop")
    return said


@pytest.mark.parametrize("kind", [http_proxy, socks_proxy])
def test_a_chat_goes_through_its_proxy_and_arrives_whole(tmp_path: Path, kind: object) -> None:
    """The site is on an address that only the proxy is told, and each request passes by it."""

    async def story() -> None:
        make = http_proxy if kind is http_proxy else socks_proxy
        async with serving_demo() as address, make() as seen:
            given = {"egress": _rules(), "proxies": (_behind(seen),)}
            async with whole_worker(tmp_path, address, **given) as (master, _life):
                await _ready(master)
                before = len(seen.passed)
                assert await _chat(master) == TEXT
                assert set(seen.passed) == {address.removeprefix("http://")}
                assert before > 1
                master.worker.note(Stop())

    tell(story())


def test_without_its_proxy_nothing_goes_out(tmp_path: Path) -> None:
    """A wrong password: `away`, saying so and not what it was; the site is never asked."""

    async def story() -> None:
        async with serving_demo() as address, http_proxy() as seen:
            wrong = _behind(seen, password="WRONG-SECRET")
            given = {"egress": _rules(), "proxies": (wrong,)}
            async with whole_worker(tmp_path, address, **given) as (master, life):
                await until(lambda: "away" in master.conditions())
                told = _reasons(master)
                assert "the proxy lisbon does not take its user and password (407)" in told
                assert "WRONG-SECRET" not in told + repr(wrong)
                assert seen.refused
                assert not seen.passed
                assert not life.done()
                master.worker.note(Stop())

    tell(story())


def test_the_next_proxy_or_rest_is_the_operators_word(tmp_path: Path) -> None:
    """With `next` a failed proxy is left in a fresh session; the other one carries the chat."""

    async def story() -> None:
        async with serving_demo() as address, http_proxy() as first, socks_proxy() as second:
            given = {
                "egress": _rules(on_failure="next", check_interval_s=0.1),
                "proxies": (_behind(first), _behind(second, "oslo")),
            }
            async with whole_worker(tmp_path, address, **given) as (master, _life):
                await _ready(master)
                assert first.passed
                assert not second.passed
                first.is_down = True
                await until(lambda: master.conditions()[-2:] == ["away", "ready"])
                assert await _chat(master) == TEXT
                assert second.passed
                master.worker.note(Stop())

    tell(story())


def test_the_direct_way_only_where_it_is_allowed(tmp_path: Path) -> None:
    """With `fallback_to_direct` a proxy that is not there is done without."""

    async def story() -> None:
        async with serving_demo() as address:
            gone = Proxy(name="gone", url=NOWHERE)
            given = {"egress": _rules(fallback_to_direct=True), "proxies": (gone,)}
            async with whole_worker(tmp_path, address, **given) as (master, _life):
                await master.hear(Ready)
                await _ready(master)
                assert await _chat(master) == TEXT
                master.worker.note(Stop())

    tell(story())


def test_credentials_that_were_right_once_end_in_an_error(tmp_path: Path) -> None:
    """A browser that is refused by its proxy says so, and does not ask for ever."""

    async def story() -> None:
        async with serving_demo() as address, http_proxy() as seen, browser_in(tmp_path) as browser:
            wrong = _behind(seen, password="WRONG-SECRET")
            page = await Page.create(browser.devtools, wrong)
            with suppress(DevToolsError):
                await page.open(address)
            assert not seen.passed
            assert 1 <= seen.refused < 10

    tell(story())
