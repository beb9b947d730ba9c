"""The live view's way through a frontend, over real sockets, with a worker in the test's hand."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from scripted import Worker, gui_serving, play, roster, until

from arenad import link
from arenad.errors import Overloaded, RequestError
from arenad.frontend import view, viewers
from arenad.frontend.pool import Pool
from arenad.schema.frame import Body
from arenad.schema.process import Roster
from arenad.schema.view import Did, Do, Drawn, Go, Mouse, Picture, Sight, Take, View

SIGHT = Sight("http://site/", "Site", "needs_human", "a check", True, "", 1)


class Shown(Worker):
    """A worker that shows what the test says, and notes what is done."""

    def __init__(self, folder: Path, name: str, generation: int = 1) -> None:
        super().__init__(folder, name, generation)
        self.viewers: list[str] = []
        self.did: list[Do] = []
        self.refusal = ""
        self.error: RequestError | None = None
        self.shows = asyncio.Queue[Body]()

    async def _serve(self, served: link.Served) -> Body:
        if isinstance(served.body, Do):
            self.did.append(served.body)
            return Did(self.refusal)
        assert isinstance(served.body, View)
        if self.error is not None:
            raise self.error
        self.viewers.append(served.body.viewer)
        try:
            while True:
                await served.item(await self.shows.get())
        finally:
            self.viewers.remove(served.body.viewer)


class Scene:
    """A frontend, one worker, and viewers."""

    def __init__(self, folder: Path, pool: Pool, http: aiohttp.ClientSession) -> None:
        self.folder = folder
        self.pool = pool
        self.http = http
        self.workers: list[Shown] = []

    async def worker(self, name: str = "w1", generation: int = 1) -> Shown:
        shown = Shown(self.folder, name, generation)
        await shown.listen()
        self.workers.append(shown)
        return shown

    async def look(self, name: str = "w1", **headers: str) -> aiohttp.ClientWebSocketResponse:
        return await self.http.ws_connect(f"/gui/view/{name}/ws", headers=headers)


@asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[Scene]:
    pool = Pool()
    async with (
        gui_serving(pool) as (_, _, _, address),
        aiohttp.ClientSession(f"http://{address[0]}:{address[1]}") as http,
    ):
        made = Scene(folder, pool, http)
        try:
            yield made
        finally:
            await pool.close()
            for each in made.workers:
                each.die()


async def told(viewer: aiohttp.ClientWebSocketResponse, kind: str) -> dict[str, Any]:
    """The next message of this kind."""
    while True:
        message = await viewer.receive()
        assert message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY), message
        if (
            message.type is aiohttp.WSMsgType.TEXT
            and (it := json.loads(message.data))["type"] == kind
        ):
            return it


def test_a_viewer_sees_and_acts(tmp_path: Path) -> None:
    """Sights as JSON, pictures with their head; acts reach the worker, refusals the viewer."""

    async def story() -> None:
        async with scene(tmp_path) as at:
            worker = await at.worker()
            at.pool.follow(roster(worker))
            viewer = await at.look()
            assert "Content-Security-Policy" in viewer._response.headers
            worker.shows.put_nowait(SIGHT)
            worker.shows.put_nowait(Picture(7, 1280, 900, b"jpeg"))
            sight = (await told(viewer, "sight"))["sight"]
            assert (sight["title"], sight["condition"], sight["controls"]) == (
                "Site",
                "needs_human",
                True,
            )
            assert await viewer.receive_bytes() == view.PICTURE.pack(7, 1280, 900) + b"jpeg"
            await viewer.send_str('{"type":"drawn","number":7}')
            await viewer.send_str('{"type":"mouse","kind":"down","x":1,"y":2,"button":"left"}')
            await until(lambda: len(worker.did) == 2)
            (name,) = worker.viewers
            assert worker.did == [
                Do(name, Drawn(number=7)),
                Do(name, Mouse(kind="down", x=1, y=2, button="left")),
            ]
            worker.refusal = "a chat is being performed"
            await viewer.send_str('{"type":"go","to":"back"}')
            assert (await told(viewer, "refused"))["reason"] == worker.refusal
            assert worker.did[-1] == Do(name, Go(to="back"))
            await viewer.close()
            await until(lambda: not worker.viewers)

    play(story())


def test_a_view_outlives_its_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what is missing, and shows the next incarnation; an instance aside is shown too."""
    monkeypatch.setattr(viewers, "REPEAT_S", 0.02)

    async def story() -> None:
        async with scene(tmp_path) as at:
            viewer = await at.look()
            assert "w1 does not run now" in (await told(viewer, "gone"))["reason"]
            await viewer.send_str('{"type":"go","to":"back"}')
            assert "w1 is not there now" in (await told(viewer, "refused"))["reason"]
            await viewer.send_json({"type": "take"})
            first = await at.worker()
            at.pool.follow(Roster((), 0, aside=(first.seat,)))
            first.shows.put_nowait(SIGHT)
            await told(viewer, "sight")
            first.die()
            assert "w1 has ended" in (await told(viewer, "gone"))["reason"]
            second = await at.worker(generation=2)
            at.pool.follow(roster(second))
            second.shows.put_nowait(SIGHT)
            await told(viewer, "sight")
            await viewer.send_json({"type": "take"})
            await until(lambda: second.did == [Do(second.viewers[0], Take())])
            await viewer.close()

    play(story())


def test_silence_is_filled_and_errors_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A still page's sight is said again; a worker's refusal is said in its words."""
    assert viewers.REPEAT_S < 7 / 2  # feed.js takes seven seconds of silence for a loss
    monkeypatch.setattr(viewers, "REPEAT_S", 0.02)

    async def story() -> None:
        async with scene(tmp_path) as at:
            worker = await at.worker()
            at.pool.follow(roster(worker))
            viewer = await at.look()
            worker.shows.put_nowait(SIGHT)
            for _ in range(3):
                assert (await told(viewer, "sight"))["sight"]["title"] == "Site"
            worker.error = Overloaded("4 people look already")
            other = await at.look()
            assert (await told(other, "gone"))["reason"] in (
                "looking for w1",
                "4 people look already",
            )
            while (await told(other, "gone"))["reason"] != "4 people look already":
                pass
            for each in (viewer, other):
                await each.close()

    play(story())


@pytest.mark.parametrize("text", ["", "[]", '{"type":"run"}', '{"type":"text","text":5}'])
def test_nonsense_ends_a_view(tmp_path: Path, text: str) -> None:
    """For good, so that a broken page does not come back again and again."""

    async def story() -> None:
        async with scene(tmp_path) as at:
            viewer = await at.look()
            await viewer.send_str(text)
            while (await viewer.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
            assert viewer.close_code == view.CODE_FAULT

    play(story())


def test_who_does_nothing_is_hung_up_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures that were drawn are nothing that was done."""
    monkeypatch.setattr(view, "IDLE_S", 0.1)

    async def story() -> None:
        async with scene(tmp_path) as at:
            viewer = await at.look()
            await viewer.send_str('{"type":"drawn","number":1}')
            while (await viewer.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
            assert viewer.close_code == view.CODE_IDLE

    play(story())


def test_viewers_have_a_bound_and_an_origin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One too many is told so; another site's page is turned away."""
    monkeypatch.setattr(view, "MAX_VIEWERS", 1)

    async def story() -> None:
        async with scene(tmp_path) as at:
            first = await at.look()
            for headers, status in (({}, 429), ({"Origin": "http://evil.example"}, 403)):
                with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                    await at.look(**headers)
                assert refused.value.status == status
            await first.close()

    play(story())


def test_the_page_is_served_for_any_name(tmp_path: Path) -> None:
    """It says by itself whether there is such an instance."""

    async def story() -> None:
        async with scene(tmp_path) as at, at.http.get("/gui/view/w7") as response:
            assert response.content_type == "text/html"
            assert "live.js" in await response.text()

    play(story())
