"""The footing of an OpenAI-compatible upstream: an HTTP client, and no browser."""

from collections.abc import Callable, Mapping

import aiohttp

from arenad.schema.config import HealthConfig
from arenad.schema.process import WorkerSettings
from arenad.worker.footing import Watch
from arenad.worker.sites.http_api import CONNECT_TIMEOUT_S, ApiSite


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


class Calling:
    """One client; `start` comes first."""

    starting = "the upstream is asked for its models"
    name = "no browser"
    failures_limit = 0

    def __init__(self, settings: WorkerSettings, instance: str) -> None:
        """Nothing is asked yet."""
        del instance
        self._settings = settings
        self._client: aiohttp.ClientSession | None = None

    async def start(self) -> ApiSite:
        """Make the client; nothing is asked yet."""
        self._client = calls = client()
        settings = self._settings
        return ApiSite(calls, settings.profile, settings.site_url, settings.site_key)

    @property
    def page(self) -> None:
        """There is nothing to see."""

    def touched(self) -> None:
        """There is nothing to act on."""

    def watches(self) -> Mapping[str, Watch]:
        """Nothing of it can break."""
        return {}

    async def renew(self) -> None:
        """No call leaves anything behind."""

    async def keep(self) -> None:
        """There is nothing to keep."""

    def forget(self) -> None:
        """Nothing was kept."""

    def opened(self, is_answering: Callable[[], bool]) -> None:
        """Its silence is measured by each chat's own deadlines."""

    def suspect(self) -> None:
        """There is nothing to look at."""

    def follow(self, health: HealthConfig) -> None:
        """There are no probes."""

    async def close(self) -> None:
        """Hang up."""
        if self._client is not None:
            await self._client.close()
