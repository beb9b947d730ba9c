"""gui: files, headers, the feed and the actions; over real sockets, with a scripted master."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from scripted import Master, Wire, gui_serving, play, state, until

from arenad.errors import Refused
from arenad.frontend import gui as gui_module
from arenad.frontend import pages, viewers
from arenad.frontend.gui import Gui
from arenad.frontend.pages import FILES
from arenad.schema.control import Done, DrainOne, Restart, Scale, StateNow

Address = tuple[str, int]


class Scene:
    """A dashboard's server, and a client on it."""

    def __init__(
        self, gui: Gui, master: Master, end: Any, address: Address, http: aiohttp.ClientSession
    ) -> None:
        self.gui = gui
        self.master = master
        self.end = end
        self.address = address
        self.http = http
        self.origin = f"http://{address[0]}:{address[1]}"

    async def view(self, **headers: str) -> aiohttp.ClientWebSocketResponse:
        return await self.http.ws_connect("/gui/ws", headers=headers)


@asynccontextmanager
async def scene() -> AsyncIterator[Scene]:
    async with (
        gui_serving() as (gui, master, end, address),
        aiohttp.ClientSession(f"http://{address[0]}:{address[1]}") as http,
    ):
        yield Scene(gui, master, end, address, http)


@pytest.mark.parametrize("name", sorted(FILES))
def test_every_file_is_served(name: str) -> None:
    """With a type that a browser takes under `nosniff`."""

    async def story() -> None:
        async with scene() as at, at.http.get(f"/gui/static/{name}") as response:
            assert await response.read() == FILES[name][1]
            assert response.content_type != "application/octet-stream"

    play(story())


def test_the_dashboard_and_the_way_to_it() -> None:
    """The bare address leads to the page."""

    async def story() -> None:
        async with scene() as at, at.http.get("/") as response:
            assert response.url.path == "/gui/dashboard"
            assert response.content_type == "text/html"

    play(story())


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/", {}, 302),
        ("GET", "/gui/dashboard", {}, 200),
        ("HEAD", "/gui/dashboard", {}, 200),
        ("GET", "/nowhere", {}, 404),
        ("GET", "/gui/static/../secret", {}, 404),
        ("GET", "/gui/static/%2e%2e/secret", {}, 404),
        ("DELETE", "/gui/dashboard", {}, 405),
        ("GET", "/gui/dashboard", {"Host": "evil.example"}, 403),
        ("GET", "/gui/ws", {}, 400),
        ("GET", "/gui/ws", {"Origin": "http://evil.example"}, 403),
        ("POST", "/gui/api/scale", {}, 400),
        ("GET", "/gui/dashboard", {"Expect": "the impossible"}, 417),
    ],
)
def test_every_answer_has_the_policy(
    method: str, path: str, headers: dict[str, str], status: int
) -> None:
    """Pages, redirects, refusals, and a WebSocket's refusals: none without its headers."""

    async def story() -> None:
        async with scene() as at:
            wire = await Wire.to(at.address)
            sent = {"Host": "localhost", **headers}
            wire.send(f"{method} {path} HTTP/1.1", **sent)
            got, answered = await wire.head()
            assert got == status
            for name, text in pages.HEADERS.items():
                assert answered[name.lower()] == text

    play(story())


# -- the feed -------------------------------------------------------------------------------------


def test_a_viewer_hears_of_each_change() -> None:
    """The state now, then what changed, with the policy on the handshake itself."""

    async def story() -> None:
        async with scene() as at:
            viewer = await at.view(Origin=at.origin)
            assert "Content-Security-Policy" in viewer._response.headers
            for verdict in ("well", "degraded"):
                at.master.tell(StateNow(state(verdict)))
                message = await viewer.receive_json()
                assert (message["type"], message["state"]["verdict"]) == ("state", verdict)
            await viewer.close()

    play(story())


def test_a_latecomer_hears_the_latest() -> None:
    """All viewers share one watch."""

    async def story() -> None:
        async with scene() as at:
            first = await at.view()
            at.master.tell(StateNow(state("now")))
            await first.receive_json()
            second = await at.view()
            assert (await second.receive_json())["state"]["verdict"] == "now"
            assert at.master.watches == 1
            for viewer in (first, second):
                await viewer.close()

    play(story())


def test_silence_is_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without news the latest is said again, so that silence means a lost connection."""
    assert viewers.REPEAT_S < 7 / 2  # feed.js takes seven seconds of silence for a loss
    monkeypatch.setattr(viewers, "REPEAT_S", 0.01)

    async def story() -> None:
        async with scene() as at:
            viewer = await at.view()
            at.master.tell(StateNow(state("still")))
            for _ in range(3):
                assert (await viewer.receive_json())["state"]["verdict"] == "still"
            await viewer.close()

    play(story())


def test_a_new_viewer_starts_a_new_watch() -> None:
    """Nobody looks, nothing is asked; somebody looks again, it is asked again."""

    async def story() -> None:
        async with scene() as at:
            for verdict in ("first", "second"):
                viewer = await at.view()
                await until(lambda: at.master.watches == 1)
                at.master.tell(StateNow(state(verdict)))
                assert (await viewer.receive_json())["state"]["verdict"] == verdict
                await viewer.close()
                await until(lambda: at.master.watches == 0)

    play(story())


def test_a_master_that_is_gone_is_said_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last state is not shown as if it were true still."""
    monkeypatch.setattr(viewers, "REPEAT_S", 0.01)

    async def story() -> None:
        async with scene() as at:
            viewer = await at.view()
            at.master.tell(StateNow(state()))
            await viewer.receive_json()
            at.end.close()
            while (message := await viewer.receive_json())["type"] == "state":
                pass
            assert message == await viewer.receive_json()
            assert message["type"] == "gone"
            assert "master is gone" in message["reason"]
            await viewer.close()

    play(story())


@pytest.mark.parametrize("end", [Done("ended"), Refused("not now")])
def test_a_watch_that_ends_is_begun_again(monkeypatch: pytest.MonkeyPatch, end: Any) -> None:
    """Whatever ended it, while somebody looks there is a watch."""
    monkeypatch.setattr(viewers, "REPEAT_S", 0.01)

    async def story() -> None:
        async with scene() as at:
            viewer = await at.view()
            at.master.tell(end)
            at.master.tell(StateNow(state("again")))
            while (message := await viewer.receive_json())["type"] == "gone":
                assert "not now" in message["reason"]
            assert message["state"]["verdict"] == "again"
            await viewer.close()

    play(story())


def test_a_quiet_master_is_asked_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence ends no watch for good."""
    monkeypatch.setattr(gui_module, "WATCH_SILENCE_S", 0.01)

    async def story() -> None:
        async with scene() as at:
            viewer = await at.view()
            await until(lambda: at.master.asked >= 3)
            at.master.tell(StateNow(state("awake")))
            assert (await viewer.receive_json())["state"]["verdict"] == "awake"
            await viewer.close()

    play(story())


def test_a_slow_viewer_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """It misses what it does not take, and is hung up on; the others hear everything."""
    monkeypatch.setattr(viewers, "STALL_S", 0.2)

    async def story() -> None:
        async with scene() as at:
            slow = await Wire.slow(at.address)
            slow.upgrade("/gui/ws")
            await until(lambda: len(at.gui._viewers) == 1)
            viewer = await at.view()
            number = 0
            while len(at.gui._viewers) == 2:
                number += 1
                verdict = f"{number} " + "x" * 1_000_000
                at.master.tell(StateNow(state(verdict)))
                while (await viewer.receive_json())["state"]["verdict"] != verdict:
                    pass
            await viewer.close()

    play(story())


def test_viewers_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """One too many is told so; who leaves makes room."""
    monkeypatch.setattr(gui_module, "MAX_VIEWERS", 1)

    async def story() -> None:
        async with scene() as at:
            first = await at.view()
            with pytest.raises(aiohttp.WSServerHandshakeError) as told:
                await at.view()
            assert told.value.status == 429
            await first.close()
            await until(lambda: not at.gui._viewers)
            await (await at.view()).close()

    play(story())


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://evil.example"}, {"Host": "evil.example"}, {"Origin": "null"}]
)
def test_a_foreign_page_cannot_watch(headers: dict[str, str]) -> None:
    """Neither by its origin nor by its name."""

    async def story() -> None:
        async with scene() as at:
            with pytest.raises(aiohttp.WSServerHandshakeError) as told:
                await at.view(**headers)
            assert told.value.status == 403

    play(story())


def test_closing_hangs_up_on_all() -> None:
    """Each viewer gets a close frame that says why."""

    async def story() -> None:
        async with scene() as at:
            viewers = [await at.view() for _ in range(2)]
            closing = asyncio.ensure_future(at.gui.close())
            for viewer in viewers:
                assert (await viewer.receive()).type is aiohttp.WSMsgType.CLOSE
                assert viewer.close_code == 1001
            await closing

    play(story())


# -- actions --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body", "command"),
    [
        ("scale", {"instances": 3}, Scale(3)),
        ("restart", {"name": "w1"}, Restart("w1")),
        ("drain", {"name": "w1"}, DrainOne("w1")),
    ],
)
def test_an_action_reaches_the_master(path: str, body: dict[str, Any], command: Any) -> None:
    """And its answer the page."""

    async def story() -> None:
        async with scene() as at:
            at.master.answer = Done("as you wish")
            async with at.http.post(f"/gui/api/{path}", json=body) as response:
                assert (response.status, await response.json()) == (200, {"text": "as you wish"})
            assert at.master.commands == [command]

    play(story())


def test_a_refusal_reaches_the_page() -> None:
    """In the master's own words."""

    async def story() -> None:
        async with scene() as at:
            at.master.answer = Refused("instances: is 99; must be 0 to 2")
            async with at.http.post("/gui/api/scale", json={"instances": 99}) as response:
                error = (await response.json())["error"]
                assert (response.status, error["message"]) == (409, at.master.answer.message)

    play(story())


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("text/plain", b'{"instances":1}', 415),
        ("application/json", b"", 400),
        ("application/json", b"[]", 400),
        ("application/json", b'{"instances":"1"}', 400),
        ("application/json", b'{"instances":true}', 400),
        ("application/json", b'{"instances":1.5}', 400),
        ("application/json", b"\xff", 400),
        ("application/json", b'{"a":' + b"[" * 50_000, 400),
        ("application/json", b" " * 100_000, 413),
    ],
)
def test_a_bad_action_commands_nothing(content_type: str, body: bytes, status: int) -> None:
    """What this page would not send is refused before the master hears of it."""

    async def story() -> None:
        async with scene() as at:
            headers = {"Content-Type": content_type}
            async with at.http.post("/gui/api/scale", data=body, headers=headers) as response:
                assert response.status == status
                assert json.loads(await response.read())["error"]["code"]
            assert at.master.commands == []

    play(story())


def test_a_foreign_page_cannot_act() -> None:
    """Nor can one that has no origin to show."""

    async def story() -> None:
        async with scene() as at:
            for origin in ("http://evil.example", "null"):
                headers = {"Origin": origin}
                async with at.http.post(
                    "/gui/api/scale", json={"instances": 0}, headers=headers
                ) as response:
                    assert response.status == 403
            assert at.master.commands == []

    play(story())


def test_an_action_without_master() -> None:
    """It is an error in words, not a page that waits."""

    async def story() -> None:
        async with scene() as at:
            at.end.close()
            await at.end.lost.wait()
            async with at.http.post("/gui/api/scale", json={"instances": 1}) as response:
                assert response.status == 502
                assert "does not answer" in await response.text()

    play(story())
