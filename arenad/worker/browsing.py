"""The footing of page sessions: a browser of its own, one page in it, and their health."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from msgspec.structs import replace

from arenad.schema.config import HealthConfig
from arenad.schema.login import SavedLogin
from arenad.schema.process import WorkerSettings
from arenad.worker import login, proxying
from arenad.worker.browser import Browser, BrowserBroken, launch
from arenad.worker.devtools import BrowserGone, DevToolsError
from arenad.worker.egress import Egress
from arenad.worker.footing import Watch
from arenad.worker.health import Health
from arenad.worker.page import Page
from arenad.worker.session import FAILURES_LIMIT
from arenad.worker.sites.page_driven import PageSite

EXIT_GRACE_S = 1.0
"""How long the exit code of a browser whose pipe has closed is waited for."""


logger = logging.getLogger("arenad.worker")


class _Site(PageSite):
    """A page that is only opened, and looked at, where there is a way to it."""

    choose_way: Callable[[], Awaitable[None]]
    look_at_way: Callable[[], Awaitable[None]]

    async def open(self) -> None:
        """Raises `Away` where no way is open, too."""
        await self.choose_way()
        await super().open()

    async def look(self) -> None:
        """Raises `Away` where the way is closed, too."""
        await self.look_at_way()
        await super().look()


class Browsing:
    """One browser with one page; `start` comes first."""

    starting = "the browser starts"
    failures_limit = FAILURES_LIMIT

    def __init__(self, settings: WorkerSettings, instance: str) -> None:
        """Nothing runs yet."""
        self.name = ""
        self._settings = settings
        self._instance = instance
        self._probes = settings.health
        self._browser: Browser | None = None
        self._page: Page | None = None
        self._site: _Site | None = None
        self._file = Path(settings.login_file) if settings.login_file else None
        self._login: SavedLogin | None = None
        self._egress = Egress(settings.egress, settings.proxies, settings.site_url)
        self._way = self._egress.way
        self._health: asyncio.Future[Health] = asyncio.get_running_loop().create_future()

    async def start(self) -> PageSite:
        """Launch the browser, make the page. Raises `ArenadError`, `OSError`."""
        settings = self._settings
        scratch = Path(settings.scratch_dir)
        chosen = settings.browser
        if settings.egress.proxies:
            chosen = replace(chosen, args=(*chosen.args, proxying.WEBRTC))
        self._browser = browser = await launch(chosen, scratch, self._instance)
        self.name = browser.version
        try:
            if self._file is not None:
                self._login = await asyncio.to_thread(login.read, self._file, settings.site_url)
            self._page = page = await self._blank(browser)
        except BrowserGone as error:
            raise BrowserBroken(await _end_of(browser)) from error
        self._site = _Site(page, settings.profile, settings.site_url, scratch)
        self._site.choose_way, self._site.look_at_way = self._take_way, self._egress.look
        return self._site

    async def _blank(self, browser: Browser) -> Page:
        """A page of a fresh context, with nothing in it but a saved login, if there is one."""
        page = await Page.create(browser.devtools, self._way)
        if self._login is not None:
            try:
                await login.give(page, self._login)
            except BrowserGone:
                raise
            except DevToolsError as error:
                logger.warning("the saved login cannot be taken up whole: %s", error)
        return page

    async def _take_way(self) -> None:
        """Another way out is another context. Raises `Away`, `DevToolsError`."""
        if (way := await self._egress.choose()) != self._way:
            logger.warning("on to %s", f"the proxy {way.name}" if way else "the direct way")
            self._way = way
            await self.renew()
        if way is not None and self._browser is not None:
            self.name = f"{self._browser.version} through the proxy {way.name}"

    async def keep(self) -> None:
        """Keep the login, where it has changed. The page is one on which a chat can begin."""
        page, file = self._page, self._file
        if page is None or file is None:
            return
        try:
            found = await login.taken_from(page, self._settings.site_url)
        except DevToolsError as error:
            logger.info("the login could not be looked at: %s", error)
            return
        if found != self._login and await asyncio.to_thread(login.write, file, found):
            self._login = found
        if self._file is None:
            login.remove(file)  # forgotten meanwhile

    def forget(self) -> None:
        """Keep no login any more."""
        if self._file is not None:
            login.remove(self._file)
        self._file = self._login = None

    async def renew(self) -> None:
        """Leave the page's context, with all that the site stored in it, for a new one.

        The old one stays as it is until the new one is there. Raises `DevToolsError`.
        """
        browser, old = self._there()
        self._page = page = await self._blank(browser)
        if self._site is not None:
            self._site.move(page)
        if self._health.done():
            self._health.result().page = page
        await old.close()

    @property
    def page(self) -> Page | None:
        """The page of the session that there is now."""
        return self._page

    def touched(self) -> None:
        """The next chat begins anew."""
        if self._site is not None:
            self._site.touched()

    def watches(self) -> Mapping[str, Watch]:
        """The browser, the page, and the signs of life of both."""
        return {
            "watch the browser": self._browser_end,
            "watch the page": self._page_end,
            "watch the health": self._trouble,
        }

    async def _browser_end(self) -> str:
        browser = self._there()[0]
        await browser.devtools.lost.wait()
        return await _end_of(browser)

    async def _page_end(self) -> str:
        """Of the last one: one that was left for another has ended by our own will."""
        ended = None
        while ended is not (page := self._there()[1]):
            await page.crashed.wait()
            ended = page
        return "the page crashed"

    async def _trouble(self) -> str:
        """What hangs does not leave politely: it is killed, for the next one to come at once."""
        health = await asyncio.shield(self._health)
        reason = await health.trouble()
        self._there()[0].kill()
        return reason

    def _there(self) -> tuple[Browser, Page]:
        if self._browser is None or self._page is None:
            raise BrowserGone("the browser was not started")
        return self._browser, self._page

    def opened(self, is_answering: Callable[[], bool]) -> None:
        """From now on the page is asked for signs of life."""
        self._health.set_result(Health(*self._there(), self._probes, is_answering))

    def suspect(self) -> None:
        """Look at the browser's processes now."""
        if self._health.done():
            self._health.result().suspect()

    def follow(self, health: HealthConfig) -> None:
        """Probe as these say from now on."""
        self._probes = health
        if self._health.done():
            self._health.result().settings = health

    async def close(self) -> None:
        """End the browser, and remove its folder."""
        if self._browser is not None:
            await self._browser.close()


async def _end_of(browser: Browser) -> str:
    has_ended = await browser.ended(EXIT_GRACE_S)
    return f"the browser {f'ended ({browser.exit_text})' if has_ended else 'hung up'}"
