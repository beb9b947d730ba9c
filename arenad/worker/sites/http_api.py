"""An OpenAI-compatible upstream as a site: its models, its chats, asked over HTTP."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import aiohttp
import yarl

from arenad.errors import (
    Away,
    ChatFull,
    ModelNotFound,
    NeedsLogin,
    ProfileOutdated,
    RequestError,
    Resting,
    UpstreamFailed,
)
from arenad.log import wall_time_s
from arenad.schema.chat import Chat, Finish
from arenad.schema.process import Model, Proxy
from arenad.schema.profile import Profile
from arenad.worker.egress import basic
from arenad.worker.sites import api_terms
from arenad.worker.sites.attachments import check
from arenad.worker.sites.catalog import models_named, models_of, with_aliases
from arenad.worker.sites.performing import Asked, Deadline, perform
from arenad.worker.sites.reading import Reading
from arenad.worker.sites.telling import Emit
from arenad.worker.source import Piece

CONNECT_TIMEOUT_S = 10.0
LOOK_TIMEOUT_S = 15.0
MAX_LIST_BYTES = 8 * 1024 * 1024
ERROR_BYTES = 16 * 1024
"""So much of an upstream's error is looked at."""

KEY_SHOWN_CHARS = 3
"""So much of a key's beginning is no secret, and stands in many words."""

OK = 200


class ApiSite:
    """One upstream; performs one chat at a time. Nothing that it raises shows its key."""

    together = 1

    def __init__(
        self, client: aiohttp.ClientSession, profile: Profile, url: str, key: str = ""
    ) -> None:
        """`url` is what `/models` and `/chat/completions` stand behind."""
        self.models: tuple[Model, ...] = ()
        self.session_id = self.message_id = ""
        self.on_held: Callable[[tuple[str, ...]], None] = lambda _keys: None
        """Never called: every chat brings its whole conversation along."""

        self._client = client
        self._profile = profile
        self._url = url.rstrip("/")
        self._key = key
        self.go_through(None)

    def go_through(self, proxy: Proxy | None) -> None:
        """Ask through this proxy from now on."""
        self._proxy = proxy.url if proxy is not None else None
        self._to_proxy: dict[str, str] = {}
        if proxy is not None and proxy.user:
            self._to_proxy = {"Proxy-Authorization": basic(proxy)}

    # -- between chats -----------------------------------------------------------------------------

    async def open(self) -> None:
        """There is nothing to open: see that it is there."""
        await self.learn_models()

    async def look(self) -> None:
        """Raises what keeps a chat from beginning; its models may be others by now."""
        await self.learn_models()

    async def learn_models(self) -> None:
        """Read the models. Raises a `RequestError`: `Away` when the upstream is not there.

        Where the profile names them, an upstream without a list of its own will do.
        """
        rules, names = self._profile.models, self._profile.models.names
        try:
            async with asyncio.timeout(LOOK_TIMEOUT_S):
                response = await self._ask("GET", api_terms.MODELS_PATH)
                try:
                    said = await _text(response, MAX_LIST_BYTES)
                finally:
                    response.close()
        except (aiohttp.ClientError, OSError) as error:
            raise Away(f"the upstream is not there: {self._why(error)}") from error
        status = response.status
        if status != OK and not (names and status in api_terms.MISSING):
            refusal = self._refusal(response, said)
            lasts = isinstance(refusal, NeedsLogin | Resting | ProfileOutdated)
            raise refusal if lasts else Away(refusal.message)
        if names:
            self.models = with_aliases(models_named(names, rules), rules)
        else:
            found = models_of(api_terms.value_of(said), api_terms.model_rules(rules))
            self.models = with_aliases(found, rules)

    # -- one chat ----------------------------------------------------------------------------------

    async def chat(self, chat: Chat, emit: Emit) -> Finish:
        """Perform one chat. Raises a `RequestError`."""
        if chat.model not in {model.id for model in self.models}:
            raise ModelNotFound(f"the site has no model {chat.model!r}", param="model")
        most = self._profile.limits.prompt_chars
        size = sum(len(turn.text) for turn in chat.turns)
        if most and size > most:
            told = f"are {size} characters; the site takes {most}"
            raise ChatFull(f"messages: {told}", param="messages")
        check([file for turn in chat.turns for file in turn.attachments], self._profile.limits)
        try:
            return await self._perform(chat, emit)
        except RequestError as error:
            raise self._safe(error) from None

    async def _perform(self, chat: Chat, emit: Emit) -> Finish:
        """Whoever leaves in the middle hangs up, which is how an upstream learns of it."""
        body: _Body | None = None

        async def ask() -> Asked:
            nonlocal body
            model = self._profile.models.aliases.get(chat.model, chat.model)
            packed = api_terms.request_of(chat, model)
            try:
                response = await self._ask("POST", api_terms.CHAT_PATH, packed)
            except (aiohttp.ClientError, OSError) as error:
                raise UpstreamFailed(f"the upstream failed: {self._why(error)}") from error
            body = _Body(response)
            if response.status != OK:
                raise self._refusal(response, await body.beginning())
            is_whole = response.content_type == "application/json"
            return Asked(body, Reading(api_terms.WHOLE if is_whole else api_terms.STREAM))

        try:
            return await perform(chat, Deadline.of_whole(chat), ask, emit)
        finally:
            if body is not None:
                body.abandon()

    async def stop(self) -> bool:
        """A chat that was cancelled has hung up; nothing of it is left."""
        return True

    # -- requests ----------------------------------------------------------------------------------

    async def _ask(self, method: str, path: str, body: bytes = b"") -> aiohttp.ClientResponse:
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        if not (is_tunnel := self._url.startswith("https:")):
            headers |= self._to_proxy  # the request itself is the proxy's to read, and to pass on
        if body:
            headers["Content-Type"] = "application/json"
        return await self._client.request(
            method,
            yarl.URL(f"{self._url}{path}"),
            data=body or None,
            headers=headers,
            proxy=self._proxy,
            proxy_headers=self._to_proxy if is_tunnel else None,
            allow_redirects=False,  # the key is for this address only
        )

    def _refusal(self, response: aiohttp.ClientResponse, said: str) -> RequestError:
        headers = _small(response)
        return self._safe(api_terms.refusal_of(response.status, headers, said, wall_time_s()))

    def _safe(self, error: RequestError) -> RequestError:
        """The error without the key, which some upstreams repeat."""
        hidden, param = self._hidden(error.message), self._hidden(error.param or "") or None
        if (hidden, param) == (error.message, error.param):
            return error
        return type(error)(hidden, retry_after_s=error.retry_after_s, param=param)

    def _why(self, error: Exception) -> str:
        told = "it is silent" if isinstance(error, TimeoutError) else str(error)
        return self._hidden(told or type(error).__name__)

    def _hidden(self, text: str) -> str:
        """The text without the key, or its beginning: it may have been cut to length in the key."""
        for chars in range(len(self._key), KEY_SHOWN_CHARS, -1):
            text = text.replace(self._key[:chars], "…")
        return text


class _Body:
    """The body of an answer as a source, which is read no faster than it is passed on."""

    has_end = True

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.status = response.status
        self.headers = _small(response)
        self._response = response

    @property
    def is_over(self) -> bool:
        return self._response.content.at_eof()

    async def sent(self) -> None:
        """It was."""

    async def head(self) -> int:
        return self.status

    async def read(self) -> list[Piece]:
        try:
            piece = await self._response.content.readany()
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamFailed(f"the site's answer was cut: {error}") from error
        return [piece] if piece else []

    async def beginning(self) -> str:
        """The text of an error, which may be cut itself."""
        with suppress(aiohttp.ClientError, OSError):
            return await _text(self._response, ERROR_BYTES)
        return ""

    async def over(self) -> None:
        while await self.read():
            pass

    def sent_texts(self) -> list[str]:
        return []

    def abandon(self) -> None:
        self._response.close()

    def lose(self, why: str) -> None:
        del why
        self._response.close()


def _small(response: aiohttp.ClientResponse) -> dict[str, str]:
    """The headers with small names."""
    return {name.lower(): value for name, value in response.headers.items()}


async def _text(response: aiohttp.ClientResponse, limit_bytes: int) -> str:
    """A body, or so much of it."""
    body = bytearray()
    while len(body) < limit_bytes and (piece := await response.content.readany()):
        body += piece
    return body[:limit_bytes].decode("utf-8", "replace")
