"""A whole worker without a browser, from hello to its end, with the test as its master."""

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace
from openai_upstream import Upstream, serving_upstream
from proxies import PASSWORD, USER, Seen, gate_before, http_proxy

from arenad import child, deadman, link
from arenad.errors import RequestError
from arenad.schema.chat import Chat, Finish, TextDelta, Turn
from arenad.schema.config import BrowserConfig, EgressConfig, HealthConfig, ProxyConfig
from arenad.schema.frame import Body
from arenad.schema.process import (
    Beat,
    Drain,
    Drained,
    ForkOrder,
    Proxy,
    Ready,
    SessionIs,
    Stop,
    Welcome,
    WorkerSettings,
)
from arenad.schema.profile import Landmarks, Profile, StreamRules
from arenad.worker import run, session

ENOUGH_S = 20.0


@pytest.fixture(autouse=True)
def own_log() -> Iterator[None]:
    """The worker sets up the log of its process, which here is that of the tests."""
    root, own = logging.getLogger(), logging.getLogger("arenad")
    before = root.handlers[:], root.level, own.level
    yield
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    own.setLevel(before[2])


class Master:
    """What a worker told, woken at each note."""

    def __init__(self, socket_path: Path) -> None:
        self.socket_path = socket_path
        self.heard: list[Body] = []
        self.worker: link.Link
        self._news = asyncio.Event()

    def take(self, body: Body) -> None:
        self.heard.append(body)
        self._news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(ENOUGH_S):
            while not condition():
                self._news.clear()
                await self._news.wait()

    def conditions(self) -> list[str]:
        """Those that were told, each once as it changed."""
        told = [note.condition for note in self.heard if isinstance(note, SessionIs)]
        return [each for place, each in enumerate(told) if told[place - 1 : place] != [each]]

    async def ask(self, model: str) -> str:
        """One chat's text. Raises as `Stream.receive` does."""
        frontend = await link.connect(str(self.socket_path), "w1", ENOUGH_S)
        turn = Turn(role="user", text="one two")
        stream = frontend.stream(Chat("r1", model, (turn,), ENOUGH_S, ENOUGH_S, ENOUGH_S))
        try:
            text, body = "", await stream.receive(ENOUGH_S)
            while isinstance(body, TextDelta):
                text, body = text + body.text, await stream.receive(ENOUGH_S)
        finally:
            frontend.close()
        assert body == Finish("stop")
        return text


@asynccontextmanager
async def _worker(folder: Path, upstream: Upstream, **given: object) -> AsyncIterator[Master]:
    """A worker that runs in this very process, told to stop at the end.

    `given` are further settings of the worker's.
    """
    ours, theirs = socket.socketpair()
    master = Master(folder / "w.sock")
    order = ForkOrder(role="worker", name="w1", generation=1, uid=os.getuid(), gid=os.getgid())
    settings = WorkerSettings(
        socket_path=str(master.socket_path),
        scratch_dir=str(folder / "scratch"),
        browser=BrowserConfig(path="/nonexistent"),
        profile=Profile(
            version=1,
            name="up",
            kind="openai-http",
            landmarks=Landmarks(prompt=()),
            stream=StreamRules(url_pattern="."),
        ),
        site_url=upstream.url,
        health=HealthConfig(interval_s=0.2),
        slots=1,
    )
    master.worker = await link.adopt(ours, "w1", on_note=master.take)
    master.worker.note(Welcome("info", worker=replace(settings, **given)))
    switch = deadman.create()
    life = asyncio.get_running_loop().create_task(child._live(order, switch, [theirs], run.run))
    try:
        yield master
        master.worker.note(Stop())
        assert await life == child.EXIT_ASKED
    finally:
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)
        master.worker.close()
        os.close(switch)
    assert os.listdir(folder) == []  # noqa: PTH208 - the loop is the test's own


def test_a_worker_needs_no_browser(tmp_path: Path) -> None:
    """Ready with the upstream's models, a chat, a beat, drained: as a worker with a page."""

    async def story() -> None:
        async with serving_upstream() as upstream, _worker(tmp_path, upstream) as master:
            await master.until(lambda: master.conditions()[-1:] == ["ready"])
            (ready,) = [note for note in master.heard if isinstance(note, Ready)]
            assert "echo" in [model.id for model in ready.models]
            assert await master.ask("echo") == "one two"
            await master.until(
                lambda: any(isinstance(note, Beat) and note.answered for note in master.heard)
            )
            master.worker.note(Drain())
            await master.until(lambda: any(isinstance(note, Drained) for note in master.heard))
            assert master.conditions() == ["opening", "ready"]

    asyncio.run(story())


def test_an_upstream_goes_and_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker lives on, says that it is away and why, and is ready again by itself."""
    monkeypatch.setattr(session, "AWAY_FIRST_S", 0.1)

    async def story() -> None:
        async with serving_upstream() as upstream, _worker(tmp_path, upstream) as master:
            await master.until(lambda: master.conditions()[-1:] == ["ready"])
            await upstream.stop()
            await master.until(lambda: master.conditions()[-1:] == ["away"])
            said = [note for note in master.heard if isinstance(note, SessionIs)][-1]
            assert "the upstream is not there" in said.reason
            await upstream.start()
            await master.until(lambda: master.conditions()[-1:] == ["ready"])
            assert await master.ask("echo") == "one two"

    asyncio.run(story())


def _proxy(name: str, seen: Seen) -> Proxy:
    return Proxy(name=name, url=seen.url, user=USER, password=PASSWORD)


def _rules(**given: object) -> EgressConfig:
    some = {"some": ProxyConfig(url="http://127.0.0.1:9")}
    return EgressConfig(proxies=some, **given)  # pyright: ignore[reportArgumentType] - by name


def test_an_upstream_is_asked_through_its_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its credentials, nothing directly; one that dies is left for the next as the rule says."""
    monkeypatch.setattr(session, "AWAY_FIRST_S", 0.1)

    async def story() -> None:
        async with (
            serving_upstream() as upstream,
            gate_before(upstream.url.removesuffix("/v1")) as gate,
            http_proxy() as one,
            http_proxy() as two,
        ):
            given = {
                "site_url": f"{gate.url}/v1",
                "egress": _rules(on_failure="next"),
                "proxies": (_proxy("one", one), _proxy("two", two)),
            }
            async with _worker(tmp_path, upstream, **given) as master:
                await master.until(lambda: master.conditions()[-1:] == ["ready"])
                assert await master.ask("echo") == "one two"
                assert not two.passed
                one.die()
                await master.until(lambda: master.conditions()[-2:] == ["away", "ready"])
                assert await master.ask("echo") == "one two"
                said = [n.reason for n in master.heard if isinstance(n, SessionIs)]
                assert any("the proxy one cannot be used" in each for each in said)
                await master.until(lambda: _proxies(master) == ["one", "two"])
            assert gate.ports
            assert set(gate.ports) <= one.own_ports | two.own_ports
            assert (one.refused, two.refused) == (0, 0)

    asyncio.run(story())


def _proxies(master: Master) -> list[str]:
    return list(dict.fromkeys(note.proxy for note in master.heard if isinstance(note, Beat)))


def test_a_secure_upstream_is_asked_through_a_tunnel(tmp_path: Path) -> None:
    """The proxy is told where to, and its credentials; what is said in it is between the ends."""

    async def story() -> None:
        async with serving_upstream() as upstream, http_proxy() as seen:
            place = upstream.url.removeprefix("http://").partition("/")[0]
            given = {
                "site_url": f"https://{place}/v1",
                "egress": _rules(),
                "proxies": (_proxy("one", seen),),
            }
            async with _worker(tmp_path, upstream, **given) as master:
                await master.until(lambda: master.conditions()[-1:] == ["away"])
                (said,) = [n.reason for n in master.heard if isinstance(n, SessionIs)][-1:]
                assert "the upstream is not there" in said
                assert PASSWORD not in said
            assert len(seen.passed) >= 3
            assert set(seen.passed) == {place}
            assert seen.refused == 0

    asyncio.run(story())


def test_failed_chats_end_no_worker_that_nothing_cures(tmp_path: Path) -> None:
    """However often the upstream fails: a fresh process would meet the same."""

    async def story() -> None:
        async with serving_upstream() as upstream:
            upstream.models = ("500", "echo")
            async with _worker(tmp_path, upstream) as master:
                await master.until(lambda: master.conditions()[-1:] == ["ready"])
                for _ in range(session.FAILURES_LIMIT + 1):
                    with pytest.raises(RequestError, match="refused as 500"):
                        await master.ask("500")
                assert await master.ask("echo") == "one two"
                assert "broken" not in master.conditions()

    asyncio.run(story())


def test_a_key_that_is_refused_waits_for_a_person(tmp_path: Path) -> None:
    """Told with the field that names the key; mended by the upstream, it goes on by itself."""

    async def story() -> None:
        async with serving_upstream() as upstream:
            upstream.key = "wanted"
            async with _worker(tmp_path, upstream) as master:
                await master.until(lambda: master.conditions()[-1:] == ["needs_login"])
                said = [note for note in master.heard if isinstance(note, SessionIs)][-1]
                assert "site.key_from" in said.reason
                upstream.key = ""
                await master.until(lambda: master.conditions()[-1:] == ["ready"])

    asyncio.run(story())
