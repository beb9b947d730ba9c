"""Several people at one instance's page: who acts, how many may look, and what they see next."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from real_browser import ENOUGH_S, serving_demo, tell, until
from whole_worker import Master, noted_pages, whole_worker

from arenad import link
from arenad.errors import Overloaded
from arenad.schema.process import Beat, Ready, Renew, Stop
from arenad.schema.view import Act, Did, Do, Drawn, Go, Mouse, Picture, Sight, Take, View
from arenad.worker.devtools import DevTools
from arenad.worker.page import Page
from arenad.worker.page_port import BrowserError
from arenad.worker.screencast import Screencast
from arenad.worker.sites.page_driven import PageSite
from arenad.worker.views import MAX_VIEWERS

pytestmark = pytest.mark.usefixtures("own_logging")

POINT = Mouse(kind="move", x=5, y=5)
WATCHES = "another viewer is acting; take over to act here"


class Viewer:
    """One who looks, over a link to the worker."""

    def __init__(self, frontend: link.Link, name: str) -> None:
        self.name = name
        self._frontend = frontend
        self._stream = frontend.stream(View(name))

    async def act(self, act: Act) -> str:
        """Why it was not done, if it was not."""
        did = await self._frontend.call(Do(self.name, act), ENOUGH_S)
        assert isinstance(did, Did)
        return did.refused

    async def sees(self, **wanted: object) -> Sight:
        """The next sight that is so; pictures are drawn meanwhile."""
        while True:
            seen = await self._stream.receive(ENOUGH_S)
            if isinstance(seen, Picture):
                await self.act(Drawn(seen.number))
            elif isinstance(seen, Sight) and all(
                getattr(seen, name) == value for name, value in wanted.items()
            ):
                return seen

    async def picture(self) -> Picture:
        """The next one, not drawn yet."""
        while not isinstance(seen := await self._stream.receive(ENOUGH_S), Picture):
            pass
        return seen

    def leave(self) -> None:
        self._stream.cancel()


@asynccontextmanager
async def _watched(folder: Path) -> AsyncIterator[tuple[Master, link.Link]]:
    async with serving_demo() as address, whole_worker(folder, address) as (master, _life):
        await master.hear(Ready)
        frontend = await link.connect(str(master.socket_path), "w1", ENOUGH_S)
        yield master, frontend
        frontend.close()
        master.worker.note(Stop())


def test_one_acts_until_another_takes_over(tmp_path: Path) -> None:
    """Each is told who it is; who acted before goes on watching, and acts again when alone."""

    async def story() -> None:
        async with _watched(tmp_path) as (_master, frontend):
            first = Viewer(frontend, "first")
            await first.sees(controls=True, locked="", viewers=1)
            second = Viewer(frontend, "second")
            await second.sees(controls=False, locked=WATCHES, viewers=2)
            assert await second.act(POINT) == WATCHES
            assert await first.act(POINT) == ""
            assert await second.act(Take()) == ""
            await first.sees(controls=False, locked=WATCHES)
            await second.sees(controls=True, locked="")
            assert await first.act(POINT) == WATCHES
            assert await second.act(POINT) == ""
            second.leave()
            await first.sees(controls=True, locked="", viewers=1)
            assert await first.act(POINT) == ""
            assert await second.act(Take()) == "the view has ended"

    tell(story())


def test_who_leaves_at_once_takes_nobodys_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A view that is closed while its pictures are begun: the next one begins them anew."""
    begun: list[Screencast] = []
    begin = Screencast.begin

    async def begin_slowly(cast: Screencast) -> None:
        begun.append(cast)
        if len(begun) == 1:
            await asyncio.Event().wait()
        await begin(cast)

    monkeypatch.setattr(Screencast, "begin", begin_slowly)

    async def story() -> None:
        async with _watched(tmp_path) as (_master, frontend):
            first = Viewer(frontend, "first")
            await until(lambda: bool(begun))
            second = Viewer(frontend, "second")
            first.leave()
            await second.picture()
            assert len(begun) == 2

    tell(story())


def test_a_page_between_two_documents_is_shown_a_moment_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chromium takes no pictures of one; it says so, and a viewer would look at nothing for good."""
    refused: list[str] = []
    command = DevTools.command

    async def refuse_twice(
        devtools: DevTools, method: str, *args: Any, **wait: float
    ) -> dict[str, Any]:
        if method == "Page.startScreencast" and len(refused) < 2:
            refused.append(method)
            raise BrowserError("Page.startScreencast: Not attached to an active page")
        return await command(devtools, method, *args, **wait)

    monkeypatch.setattr(DevTools, "command", refuse_twice)

    async def story() -> None:
        async with _watched(tmp_path) as (_master, frontend):
            await Viewer(frontend, "viewer").picture()
            assert len(refused) == 2

    tell(story())


def test_a_page_that_is_left_is_known_to_be_before_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chat that comes while the page still answers to it must not count on what it shows."""
    done: list[str] = []
    reload, touched = Page.reload, PageSite.touched

    async def reload_noted(page: Page) -> None:
        done.append("reload")
        await reload(page)

    def touched_noted(site: PageSite) -> None:
        done.append("touched")
        touched(site)

    monkeypatch.setattr(Page, "reload", reload_noted)
    monkeypatch.setattr(PageSite, "touched", touched_noted)

    async def story() -> None:
        async with _watched(tmp_path) as (_master, frontend):
            viewer = Viewer(frontend, "viewer")
            await viewer.sees(controls=True)
            assert await viewer.act(Go(to="reload")) == ""
            assert done == ["touched", "reload"]

    tell(story())


def test_so_many_look_and_no_more(tmp_path: Path) -> None:
    """The next one is told so, the others notice nothing; a place that is left is free."""

    async def story() -> None:
        async with _watched(tmp_path) as (_master, frontend):
            viewers = [Viewer(frontend, f"{number}") for number in range(MAX_VIEWERS)]
            for viewer in viewers:
                await viewer.sees(viewers=MAX_VIEWERS)
            for name in ("more", "0"):
                with pytest.raises(Overloaded, match="close a view"):
                    await Viewer(frontend, name).sees()
            assert await viewers[0].act(POINT) == ""
            viewers[1].leave()
            await viewers[0].sees(viewers=MAX_VIEWERS - 1)
            await Viewer(frontend, "more").sees(viewers=MAX_VIEWERS, controls=False)

    tell(story())


def test_who_looks_follows_to_a_fresh_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next picture is of its page, and what is done goes there."""
    pages = noted_pages(monkeypatch)

    async def story() -> None:
        async with _watched(tmp_path) as (master, frontend):
            viewer, watcher = Viewer(frontend, "viewer"), Viewer(frontend, "watcher")
            await watcher.sees(controls=False)
            last = await viewer.picture()
            master.worker.note(Renew())
            await until(lambda: any(isinstance(n, Beat) and n.sessions == 2 for n in master.heard))
            await until(lambda: master.last_condition().condition == "ready")
            assert len(pages) == 2
            await viewer.act(Drawn(last.number))
            last = await viewer.picture()
            await viewer.act(Drawn(last.number))
            await pages[-1].evaluate("location.hash = 'anew'")
            address = str(await pages[-1].evaluate("location.href"))
            for each in (viewer, watcher):
                await each.sees(address=address, condition="ready")
            shown = pages[-1].documents
            assert await viewer.act(Go(to="reload")) == ""
            await until(lambda: pages[-1].documents == shown + 1)

    tell(story())
