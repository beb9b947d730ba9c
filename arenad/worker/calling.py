"""The footing of an OpenAI-compatible upstream: an HTTP client, and no browser."""

import logging
from collections.abc import Awaitable, Callable, Mapping

import aiohttp

from arenad.errors import Away
from arenad.schema.config import HealthConfig
from arenad.schema.process import WorkerSettings
from arenad.worker.egress import Egress
from arenad.worker.footing import Site, Watch
from arenad.worker.sites.http_api import CONNECT_TIMEOUT_S, ApiSite

logger = logging.getLogger("arenad.worker")


def client() -> aiohttp.ClientSession:
    """A client that keeps no cookies and no connections; its owner closes it.

    An upstream may hang up on a kept connection just when the next chat is sent, and nobody could
    tell whether that chat was begun.
    """
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S),
        connector=aiohttp.TCPConnector(force_close=True),
        cookie_jar=aiohttp.DummyCookieJar(),
    )


class _Site(ApiSite):
    """An upstream that is only asked where there is a way to it."""

    choose_way: Callable[[], Awaitable[None]]
    egress: Egress

    async def open(self) -> None:
        """Raises `Away` where no way is open, too."""
        await self.choose_way()
        await self._ask_along(super().open)

    async def look(self) -> None:
        """Raises `Away` where the way is closed, too."""
        await self.egress.look()
        await self._ask_along(super().look)

    async def _ask_along(self, ask: Callable[[], Awaitable[None]]) -> None:
        """What cannot be reached may be so for the proxy's sake, which is told then."""
        try:
            await ask()
        except Away:
            await self.egress.blame()
            raise


class Calling:
    """One client; `start` comes first."""

    starting = "the upstream is asked for its models"
    name = "no browser"
    failures_limit = 0

    def __init__(self, settings: WorkerSettings, instance: str) -> None:
        """Nothing is asked yet."""
        self.on_renewed: Callable[[], None] = _ignore
        self._settings = settings
        self._client: aiohttp.ClientSession | None = None
        self._site: _Site | None = None
        self._egress = Egress(settings.egress, settings.proxies, settings.site_url, instance)
        self._way = self._egress.way

    async def start(self) -> Site:
        """Make the client; nothing is asked yet."""
        self._client = calls = client()
        settings = self._settings
        self._site = _Site(calls, settings.profile, settings.site_url, settings.site_key)
        self._site.choose_way, self._site.egress = self._take_way, self._egress
        self._site.go_through(self._way)
        return self._site

    async def _take_way(self) -> None:
        """Another way out is another session. Raises `Away`."""
        if (way := await self._egress.choose()) != self._way:
            logger.warning("on to %s", f"the proxy {way.name}" if way else "the direct way")
            await self.renew()

    @property
    def page(self) -> None:
        """There is nothing to see."""

    @property
    def proxy(self) -> str:
        """Of the next call."""
        return self._way.name if self._way is not None else ""

    def touched(self) -> None:
        """There is nothing to act on."""

    def watches(self) -> Mapping[str, Watch]:
        """Nothing of it can break."""
        return {}

    async def renew(self) -> None:
        """No call leaves anything behind; the next ones go by the way that there is now."""
        self._way = self._egress.way
        if self._site is not None:
            self._site.go_through(self._way)
        self.on_renewed()

    async def turn(self, *, has_answered: bool) -> str:
        """By plan, another way out for the next calls: why, if it is time for that."""
        return await self._egress.turn(has_answered=has_answered)

    def skip_turns(self) -> None:
        """Whatever is due by plan is left out."""
        self._egress.skip_turns()

    async def keep(self) -> None:
        """There is nothing to keep."""

    def set_login_aside(self) -> bool:
        """Every call is begun alike."""
        return False

    def forget(self) -> None:
        """Nothing was kept."""

    def opened(self, is_answering: Callable[[], bool]) -> None:
        """Its silence is measured by each chat's own deadlines."""

    def suspect(self) -> None:
        """Look at the way before it is used again."""
        self._egress.doubt()

    def follow(self, health: HealthConfig) -> None:
        """There are no probes."""

    async def close(self) -> None:
        """Hang up."""
        if self._client is not None:
            await self._client.close()


def _ignore() -> None:
    pass
