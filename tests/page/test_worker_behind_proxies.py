"""A whole worker behind real proxies: everything goes through them, and only their failure counts."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from proxies import PASSWORD, USER, Seen, http_proxy, socks_proxy
from real_browser import (
    CONFIG,
    ENOUGH_S,
    browser_in,
    demo_profile,
    serving,
    serving_demo,
    tell,
    until,
)
from whole_worker import Master, noted_pages, whole_worker

from arenad import link
from arenad.errors import Away, Resting
from arenad.schema.chat import Began, Chat, Finish, TextDelta, Turn
from arenad.schema.config import EgressConfig, HealthConfig, ProxyConfig, SessionConfig
from arenad.schema.login import SavedLogin
from arenad.schema.process import Beat, Proxy, Ready, Renew, SessionIs, Stop, WorkerSettings
from arenad.schema.profile import Landmarks, ModelRules, Profile, StreamRules
from arenad.schema.view import Sight, View
from arenad.worker import login
from arenad.worker.browsing import Browsing
from arenad.worker.egress import Egress
from arenad.worker.page import Page
from arenad.worker.page_port import BrowserError
from arenad.worker.sites import driver

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


def _sessions(master: Master) -> int:
    return max((note.sessions for note in master.heard if isinstance(note, Beat)), default=0)


def _proxies(master: Master) -> list[str]:
    """The names that were told, each once as it changed."""
    told = [note.proxy for note in master.heard if isinstance(note, Beat)]
    return [each for at, each in enumerate(told) if told[at - 1 : at] != [each]]


async def _ready(master: Master) -> None:
    await until(lambda: "ready" in master.conditions())


async def _chat(master: Master, text: str = TEXT) -> str:
    frontend = await link.connect(str(master.socket_path), "w1", ENOUGH_S)
    turn = Turn(role="user", text=text)
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


def test_a_saved_login_goes_through_the_proxy(tmp_path: Path) -> None:
    """The empty page under which it is put in leaves the proxy's questions answered."""

    async def story() -> None:
        async with serving_demo() as address, http_proxy() as seen:
            file = tmp_path / "logins" / "w1.json"
            saved = SavedLogin(site=address, origin=address, cookies=(), local={"own": "it"})
            assert login.write(file, saved)
            given = {
                "egress": _rules(),
                "proxies": (_behind(seen),),
                "session": SessionConfig(save=True),
                "login_file": str(file),
            }
            async with whole_worker(tmp_path, address, **given) as (master, _life):
                await master.hear(Ready)
                await until(lambda: master.last_condition().condition != "opening")
                assert master.conditions() == ["opening", "ready"]
                assert await _chat(master) == TEXT
                master.worker.note(Stop())
            assert login.read(file, address) is not None

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
                first.is_down, before = False, len(first.passed)
                master.worker.note(Renew())
                await until(lambda: _sessions(master) == 3)
                assert _proxies(master) == ["lisbon", "oslo"]
                assert await _chat(master) == TEXT
                assert len(first.passed) == before
                master.worker.note(Stop())

    tell(story())


def test_by_plan_an_instance_goes_round(tmp_path: Path) -> None:
    """In fresh sessions between two chats, from one proxy to the next."""

    async def story() -> None:
        async with serving_demo() as address, http_proxy() as first, socks_proxy() as second:
            given = {
                "egress": _rules(rotation_interval_s=1.0),
                "proxies": (_behind(first), _behind(second, "oslo")),
            }
            async with whole_worker(tmp_path, address, **given) as (master, _life):
                told = "a fresh session: egress.rotation_interval_s 1"
                await until(lambda: _reasons(master).count(told) == 1)
                await _ready(master)
                before = len(first.passed)
                await until(lambda: _reasons(master).count(told) == 2)
                await until(lambda: len(first.passed) > before)
                assert second.passed
                assert await _chat(master) == TEXT
                assert set(master.conditions()) == {"opening", "ready"}
                master.worker.note(Stop())

    tell(story())


def test_each_answer_may_have_a_proxy_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one, in a fresh session; a refusal moves nobody, and what a plan has due is left."""
    skipped: list[str] = []
    skip = Egress.skip_turns

    def noted(egress: Egress) -> None:
        skipped.append(egress.way.name if egress.way else "")
        skip(egress)

    monkeypatch.setattr(Egress, "skip_turns", noted)

    async def story() -> None:
        async with serving_demo() as address, http_proxy() as first, socks_proxy() as second:
            given = {
                "egress": _rules(assign="per_request"),
                "proxies": (_behind(first), _behind(second, "oslo")),
            }
            async with whole_worker(tmp_path, address, **given) as (master, _life):
                await _ready(master)
                for count in (2, 3):
                    assert await _chat(master) == TEXT
                    await until(lambda at=count: _sessions(master) == at)
                    await until(lambda: master.last_condition().condition == "ready")
                assert _proxies(master) == ["lisbon", "oslo", "lisbon"]
                assert not skipped
                with pytest.raises(Resting):
                    await _chat(master, "[[demo:429=1]]")
                await until(lambda: master.conditions()[-2:] == ["resting", "ready"])
                assert set(skipped) == {"lisbon"}
                assert _sessions(master) == 3
                assert await _chat(master) == TEXT
                await until(lambda: _proxies(master)[3:] == ["oslo"])
                master.worker.note(Stop())

    tell(story())


def test_who_watches_follows_to_another_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is another session, counted and shown as any other; one left while blank is none."""
    pages = noted_pages(monkeypatch)

    async def story() -> None:
        async with serving_demo() as address, http_proxy() as second, socks_proxy() as third:
            gone = Proxy(name="gone", url=NOWHERE)
            given = {
                "egress": _rules(on_failure="next", check_interval_s=0.1),
                "proxies": (gone, _behind(second), _behind(third, "oslo")),
            }
            async with whole_worker(tmp_path, address, **given) as (master, _life):
                await _ready(master)
                await until(lambda: _sessions(master) == 1)
                frontend = await link.connect(str(master.socket_path), "w1", ENOUGH_S)
                view = frontend.stream(View("a"))
                await view.receive(ENOUGH_S)
                second.is_down = True
                await until(lambda: _sessions(master) == 2)
                await until(lambda: master.last_condition().condition == "ready")
                assert third.passed
                await pages[-1].evaluate("location.hash = 'anew'")
                address_seen = ""
                while not address_seen.endswith("#anew"):
                    seen = await view.receive(ENOUGH_S)
                    address_seen = seen.address if isinstance(seen, Sight) else address_seen
                frontend.close()
                master.worker.note(Stop())

    tell(story())


def _page(html: str, kind: str = "text/html") -> web.RouteDef:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=html, content_type=kind)

    return web.get("/parts.js" if kind != "text/html" else "/", answer)


@pytest.mark.parametrize("dies_after", [1, 2])
def test_a_proxy_that_dies_while_the_page_opens_is_at_fault(
    tmp_path: Path, dies_after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the check, or before the page's script: `away`, and back with the proxy."""
    monkeypatch.setattr(driver, "LANDMARK_TIMEOUT_S", 0.5)
    page = _page('<script src="/parts.js"></script>')
    script = _page("document.write('<textarea name=text></textarea>')", "text/javascript")
    plain = Profile(
        name="plain",
        landmarks=Landmarks(prompt="textarea"),
        version=1,
        stream=StreamRules(url_pattern="/chat"),
        models=ModelRules(names=("m",)),
    )

    async def story() -> None:
        async with serving(page, script) as address, http_proxy() as seen:
            seen.dies_after = dies_after
            given = {"egress": _rules(), "proxies": (_behind(seen),), "profile": plain}
            async with whole_worker(tmp_path, address, **given) as (master, life):
                await until(lambda: "away" in master.conditions())
                assert "the proxy lisbon cannot be used" in _reasons(master)
                assert not life.done()
                seen.dies_after = -1
                await _ready(master)
                assert master.conditions() == ["opening", "away", "ready"]
                master.worker.note(Stop())

    tell(story())


def test_a_way_that_could_not_be_taken_is_not_taken_for_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page is on the old one still, so the next time the change is made again."""
    create = Page.create

    async def fails(devtools: Any, *way: Any) -> Page:
        monkeypatch.setattr(Page, "create", create)
        raise BrowserError(f"{way} is not to be had")

    async def story() -> None:
        async with serving_demo() as address, http_proxy() as one, http_proxy() as two:
            settings = WorkerSettings(
                socket_path="",
                scratch_dir=str(tmp_path / "scratch"),
                browser=CONFIG,
                profile=demo_profile(),
                site_url=address,
                health=HealthConfig(),
                slots=1,
                egress=_rules(on_failure="next"),
                proxies=(_behind(one), _behind(two, "oslo")),
            )
            footing = Browsing(settings, "w1")
            site = await footing.start()
            try:
                await site.open()
                assert footing.proxy == "lisbon"
                one.is_down = True
                footing.suspect()
                monkeypatch.setattr(Page, "create", fails)
                with pytest.raises(BrowserError, match="not to be had"):
                    await site.open()
                with pytest.raises(Away, match="the proxy lisbon"):
                    await site.look()
                assert len(two.passed) == 1
                await site.open()
                assert len(two.passed) > 2
                assert footing.proxy == "oslo"
            finally:
                await footing.close()

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
                await until(lambda: _proxies(master) == [""])
                master.worker.note(Stop())

    tell(story())


def test_credentials_that_were_right_once_end_in_an_error(tmp_path: Path) -> None:
    """A browser that is refused by its proxy says so, and does not ask for ever."""

    async def story() -> None:
        async with serving_demo() as address, http_proxy() as seen, browser_in(tmp_path) as browser:
            wrong = _behind(seen, password="WRONG-SECRET")
            page = await Page.create(browser.devtools, wrong)
            with suppress(BrowserError):
                await page.open(address)
            assert not seen.passed
            assert 1 <= seen.refused < 10

    tell(story())
