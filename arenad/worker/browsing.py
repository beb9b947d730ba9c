"""The footing of page sessions: a browser of its own, one page in it, and their health."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from msgspec.structs import replace

from arenad.errors import ProfileOutdated
from arenad.schema.config import HealthConfig
from arenad.schema.login import SavedLogin
from arenad.schema.process import Proxy, WorkerSettings
from arenad.worker import login, proxying
from arenad.worker.browser_process import BrowserBroken, BrowserProcess
from arenad.worker.egress import Egress
from arenad.worker.engines import launch
from arenad.worker.footing import Watch
from arenad.worker.health import Health
from arenad.worker.page import Page
from arenad.worker.page_port import BrowserError, BrowserGone, PagePort
from arenad.worker.relay import Relay
from arenad.worker.session import FAILURES_LIMIT
from arenad.worker.sites.page_driven import PageSite

EXIT_GRACE_S = 1.0
"""How long the exit code of a browser whose pipe has closed is waited for."""


logger = logging.getLogger("arenad.worker")


class _Site(PageSite):
    """A page that is only opened, and looked at, where there is a way to it."""

    choose_way: Callable[[], Awaitable[None]]
    egress: Egress

    async def open(self) -> None:
        """Raises `Away` where no way is open, too.

        A proxy may have died since it was checked: then it is at fault, and neither the browser nor
        the profile.
        """
        await self.choose_way()
        try:
            await super().open()
        except BrowserGone:
            raise
        except (BrowserError, ProfileOutdated):
            await self.egress.blame()
            raise

    async def look(self) -> None:
        """Raises `Away` where the way is closed, too."""
        await self.egress.look()
        await super().look()


class Browsing:
    """One browser with one page; `start` comes first."""

    starting = "the browser starts"
    failures_limit = FAILURES_LIMIT

    def __init__(self, settings: WorkerSettings, instance: str) -> None:
        """Nothing runs yet."""
        self.name = ""
        self.on_renewed: Callable[[], None] = _ignore
        self._settings = settings
        self._instance = instance
        self._probes = settings.health
        self._browser: BrowserProcess | None = None
        self._page: PagePort | None = None
        self._site: _Site | None = None
        self._kept = login.Kept(Path(settings.login_file)) if settings.login_file else None
        self._login: SavedLogin | None = None
        self._has_begun_with_login = False
        self._egress = Egress(settings.egress, settings.proxies, settings.site_url, instance)
        self._way = self._egress.way
        self._relays: dict[str, tuple[Relay, Proxy]] = {}
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
            if (kept := self._kept) is not None:
                self._login = await asyncio.to_thread(login.read, kept.path, settings.site_url)
            self._page = page = await self._blank(browser, self._way)
        except BrowserGone as error:
            raise BrowserBroken(await _end_of(browser)) from error
        self._site = _Site(page, settings.profile, settings.site_url, scratch)
        self._site.choose_way, self._site.egress = self._take_way, self._egress
        return self._site

    async def _blank(self, browser: BrowserProcess, way: Proxy | None) -> PagePort:
        """A page of a fresh context, with nothing in it but a saved login, if there is one."""
        page = await browser.page(await self._as_seen(way))
        self._has_begun_with_login = self._login is not None
        if self._login is not None:
            try:
                await login.give(page, self._login)
            except BrowserGone:
                raise
            except BrowserError as error:
                logger.warning("the saved login cannot be taken up whole: %s", error)
        return page

    async def _as_seen(self, way: Proxy | None) -> Proxy | None:
        """The proxy as the browser is told of it: to SOCKS5 it can give no credentials."""
        if way is None or not way.user or not way.url.startswith("socks5:"):
            return way
        if way.name not in self._relays:
            relay = Relay(way)
            self._relays[way.name] = relay, await relay.open()
        return self._relays[way.name][1]

    async def _take_way(self) -> None:
        """Another way out is another context. Raises `Away`, `BrowserError`."""
        if (way := await self._egress.choose()) != self._way:
            logger.warning("on to %s", f"the proxy {way.name}" if way else "the direct way")
            await self.renew()

    async def turn(self, *, has_answered: bool) -> str:
        """By plan, another way out for the next session: why, if it is time for that."""
        return await self._egress.turn(has_answered=has_answered)

    def skip_turns(self) -> None:
        """Whatever is due by plan is left out."""
        self._egress.skip_turns()

    async def keep(self) -> None:
        """Keep the login, where it has changed. The page is one on which a chat can begin."""
        page, kept = self._page, self._kept
        if page is None or kept is None:
            return
        try:
            found = await login.taken_from(page, self._settings.site_url)
        except BrowserError as error:
            logger.info("the login could not be looked at: %s", error)
            return
        if found != self._login and await asyncio.to_thread(kept.write, found):
            self._login = found if self._kept is kept else None

    def set_login_aside(self) -> bool:
        """Begin the next session as a stranger, if this one was begun with a login."""
        if has := self._has_begun_with_login:
            self._login, self._has_begun_with_login = None, False
        return has

    def forget(self) -> None:
        """Keep no login any more."""
        if self._kept is not None:
            self._kept.forget()
        self._kept = self._login = None

    async def renew(self) -> None:
        """Leave the page's context, with all that the site stored in it, for a new one.

        The old one stays as it is until the new one is there. Raises `BrowserError`.
        """
        browser, old = self._there()
        way = self._egress.way
        try:
            page = await self._blank(browser, way)
        except BaseException:  # a cancel too: what is checked is the way that the page is on
            self._egress.keep_to(self._way)
            raise
        self._page, self._way = page, way
        if self._site is not None:
            self._site.move(page)
        if self._health.done():
            self._health.result().page = page
        self.on_renewed()
        await old.close()

    @property
    def page(self) -> Page | None:
        """The page of the session that there is now, where its engine can show it."""
        return self._page if isinstance(self._page, Page) else None

    @property
    def proxy(self) -> str:
        """Of the page that there is now."""
        return self._way.name if self._way is not None else ""

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
        await browser.lost.wait()
        return await _end_of(browser)

    async def _page_end(self) -> str:
        """Of the last one: one that was left for another has ended by our own will."""
        ended = None
        while ended is not (page := self._there()[1]):
            await page.crashed.wait()
            ended = page
        browser = self._there()[0]
        # A page falls with its browser, and of the two watches either may wake first.
        return await _end_of(browser) if browser.lost.is_set() else "the page crashed"

    async def _trouble(self) -> str:
        """What hangs does not leave politely: it is killed, for the next one to come at once."""
        health = await asyncio.shield(self._health)
        reason = await health.trouble()
        self._there()[0].kill()
        return reason

    def _there(self) -> tuple[BrowserProcess, PagePort]:
        if self._browser is None or self._page is None:
            raise BrowserGone("the browser was not started")
        return self._browser, self._page

    def opened(self, is_answering: Callable[[], bool]) -> None:
        """From now on the page is asked for signs of life."""
        self._health.set_result(Health(*self._there(), self._probes, is_answering))

    def suspect(self) -> None:
        """Look at the browser's processes now, and at the way before it is used again."""
        self._egress.doubt()
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
        for relay, _ in self._relays.values():
            await relay.close()


def _ignore() -> None:
    pass


async def _end_of(browser: BrowserProcess) -> str:
    has_ended = await browser.ended(EXIT_GRACE_S)
    return f"the browser {f'ended ({browser.exit_text})' if has_ended else 'hung up'}"
