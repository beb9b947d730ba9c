"""The endpoint, in any of its vocabularies: HTTP around the dispatch of one chat."""

import asyncio
import logging
import math
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, closing
from functools import partial
from typing import NamedTuple, Protocol, TypeVar

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler
from msgspec.structs import replace

from arenad.activity import Activity
from arenad.errors import ModelNotFound, NotObeyed, RequestError
from arenad.frontend import (
    abreast,
    completions,
    cors,
    cut,
    entrance,
    fetch,
    guard,
    images,
    instruct,
    messages,
    obeyed,
    openai,
    quota,
    responses,
)
from arenad.frontend.account import Account, Hearing
from arenad.frontend.counters import Counters, Refusal
from arenad.frontend.dispatch import Dispatch
from arenad.frontend.kept import Kept
from arenad.frontend.keys import KEY, Keyring
from arenad.frontend.once import HEADER, Claim, Once, mark_of
from arenad.frontend.quota import Allowance
from arenad.frontend.recording import Recording
from arenad.frontend.reference import Reference
from arenad.frontend.reply import Answer, Reply, notes_of
from arenad.frontend.tokens import count_turns
from arenad.frontend.vocabulary import Vocabulary, Wish
from arenad.log import wall_time_s
from arenad.schema.config import FilesConfig
from arenad.schema.history import Outcome
from arenad.schema.keys import NO_LIMITS, Scope
from arenad.schema.process import FrontendSettings, Model

VOCABULARIES: dict[str, Vocabulary] = {
    "/v1/chat/completions": openai.CHAT,
    "/v1/completions": completions.COMPLETIONS,
    "/v1/images/generations": images.IMAGES,
    "/v1/messages": messages.MESSAGES,
    "/v1/responses": responses.RESPONSES,
}
"""Where an answer is asked for, and in which words."""


class Counting(NamedTuple):
    """Reads a request as its vocabulary does, and tells how many tokens that is."""

    parse: Callable[[bytes, FilesConfig], Wish]
    told: Callable[[Wish], bytes]
    field: str


COUNTED: dict[str, Counting] = {
    "/v1/messages/count_tokens": Counting(messages.parse, messages.counted, "messages"),
    "/v1/responses/input_tokens": Counting(responses.parse, responses.counted, "input"),
}
"""Where is asked how many tokens a request has."""

SCOPES: tuple[tuple[str, Scope | None], ...] = (
    ("/healthz", None),
    ("/health", None),
    ("/readyz", None),
    ("/openapi.json", None),
    ("/docs", None),
    ("/v1/files/", None),
    ("/v1/models", "models"),
    ("/", "chat"),
)
"""What a key has to be for, by the beginning of the path; none is asked of those who only look
whether we are there, or how to ask, and of those who know the name of a file, which cannot be
guessed."""

_IMAGE_HEADERS = {
    "Cache-Control": "private, max-age=3600, immutable",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"
    ),
    "X-Content-Type-Options": "nosniff",
}
"""What a site drew must never run as a page of ours; an SVG may hold its own styles and images."""

_PART_BYTES = 64 * 1024

_BEGAN_S = web.RequestKey("began_s", float)
_LEFT = web.RequestKey("left", Allowance)
_ACCOUNT = web.RequestKey("account", Account)

log = logging.getLogger("arenad.api")


class Api:
    """The routes below /v1, and the health answers."""

    def __init__(
        self, dispatch: Dispatch, settings: FrontendSettings, recording: Recording
    ) -> None:
        """Nothing runs yet."""
        self.activity = Activity()
        self._recording = recording
        self.is_closing = False
        self._dispatch = dispatch
        self.settings = settings
        self.kept = Kept(settings.files_dir, settings.files)
        self.once = Once(settings.answers_dir, *_once_s(settings))
        self.keys = Keyring()
        self.keys.take(settings.keys, settings.keys_fault)
        self.counters = Counters(settings.counters)
        self.store_fault: Callable[[], Awaitable[str]] = _nothing
        self._born_unix_s = int(wall_time_s())

    def app(self) -> web.Application:
        """The application to serve."""
        doorman = guard.Doorman(self._admit)
        app = guard.application(self._stamp, VOCABULARIES, doorman)
        app.middlewares[:0] = [self._count, self._preflight]
        app.add_routes(
            [
                *(guard.post(path, self._in(words)) for path, words in VOCABULARIES.items()),
                *(guard.post(path, partial(self.count_tokens, COUNTED[path])) for path in COUNTED),
                web.get("/v1/models", self.models),
                web.get("/v1/models/{id:.+}", self.model),
                web.get("/v1/files/{id}/content", self.file_content),
                web.get("/healthz", self.healthz),
                web.get("/health", self.healthz),
                web.get("/readyz", self.readyz),
                *Reference(VOCABULARIES, scope_of).routes(),
            ]
        )
        return app

    @web.middleware
    async def _count(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        with self.activity.one():
            return await handler(request)

    async def _admit(self, request: web.Request) -> None:
        if not self.keys.asks_for("chat"):
            guard.check_local(request)
            return
        guard.check_host_form(request)
        if (scope := scope_of(request.path)) is not None:
            await self.keys.admit(request, scope)

    @web.middleware
    async def _preflight(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """A page's browser asks, without any key, before it sends what the page wants to send."""
        told = cors.preflight(self.settings.api.cors_origins, request.method, request.headers)
        return await handler(request) if told is None else web.Response(status=204, headers=told)

    def _stamp(self, request: web.Request, response: web.StreamResponse) -> None:
        began_s = request.get(_BEGAN_S, time.monotonic())
        for name in ("x-request-id", "request-id"):  # OpenAI's clients read one, Anthropic's other
            response.headers[name] = guard.request_id(request)
        response.headers["openai-processing-ms"] = f"{1000 * (time.monotonic() - began_s):.0f}"
        if (left := request.get(_LEFT)) is not None:
            response.headers.update(told_of(left, request.path))
        response.headers.update(cors.headers(self.settings.api.cors_origins, request.headers))
        if (account := request.get(_ACCOUNT)) is not None:
            response.headers["x-arenad-attempts"] = str(account.attempts)
            if account.instances:
                response.headers["x-arenad-instance"] = account.instances
        if self.is_closing:
            response.force_close()
            response.headers["Connection"] = "close"

    # -- chats ------------------------------------------------------------------------------------

    def _in(self, words: Vocabulary) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        return partial(self._answer, words)

    async def _answer(self, words: Vocabulary, request: web.Request) -> web.StreamResponse:
        """One chat, in the words of its client; or the answer that the same request had before."""
        request[_BEGAN_S] = time.monotonic()
        wish, once, mark = await self._asked(words, request)
        key = request.get(KEY)
        async with self.once.claim(once, key.id if key else "", mark) as claim:
            if (given := claim.answer) is not None:
                told = {**given.headers, "idempotent-replayed": "true"}
                return web.Response(body=given.body, content_type=guard.JSON, headers=told)
            async with self._counted(request, wish) as account:
                wish = await fetch.filled(wish, self.settings.files)
                reply = Reply(request, words, wish, self.settings, account)
                return await self._perform(reply, wish, account, claim)

    async def _asked(self, words: Vocabulary, request: web.Request) -> tuple[Wish, str, bytes]:
        """What is wished for, and by which key and mark the same request is known.

        The body, which may be large, ends with this and not with the answer.
        """
        body = await guard.posted(request, self.settings.api)
        field = "input" if "input" in words.fields else "messages"
        wish = guard.taken(words.parse(body, self.settings.files), self.settings.api, field)
        if wish.wants_image:
            images.check_model(wish.model, self._dispatch.models())
        if wish.n > 1:
            abreast.check(wish, self._dispatch.sides(wish), self._dispatch.room(wish.model))
        once = "" if wish.stream else request.headers.get(HEADER, "")
        return wish, once, mark_of(request.path, body) if once else b""

    @asynccontextmanager
    async def _counted(self, request: web.Request, wish: Wish) -> AsyncGenerator[Account]:
        """Hold the request to its key's limits; the account tells how much the answer was."""
        name, key = guard.request_id(request), request.get(KEY)
        owner = request.get(guard.OWNER, "")
        account = Account(name, wish.model, streams=wish.stream, owner=owner)
        request[_ACCOUNT] = account
        if key is None or key.limits == NO_LIMITS:
            yield account
            return
        try:
            tokens = wish.n * wish.prompt_tokens
            request[_LEFT] = await self.counters.begin(key, tokens, wish.n)
        except Refusal as refusal:
            request[_LEFT] = refusal.left
            raise refusal.error from None
        try:
            yield account
        finally:
            self.counters.end(key, account.spent_tokens(), wish.n)

    async def _perform(
        self, reply: Reply, wish: Wish, account: Account, claim: Claim
    ) -> web.StreamResponse:
        name = account.request_id
        reply.claim = claim
        self._dispatch.counts["accepted"] += 1
        self._dispatch.running += 1
        outcome: Outcome = "failed"
        try:
            is_whole = await self._written(reply, wish, account)
            outcome = "answered" if is_whole else "failed"
        except (asyncio.CancelledError, ConnectionError):
            outcome = "cancelled"
            log.info("request %s: the client left", name)
            raise
        except RequestError as error:
            account.fails(error.kind)
            raise
        finally:
            self._dispatch.counts[outcome] += 1
            self._dispatch.running -= 1
            for each in account.answers():
                has_failed = bool(each.error) and outcome == "answered"
                self._recording.put(each, "failed" if has_failed else outcome)
        return reply.response

    async def _written(self, reply: Reply, wish: Wish, account: Account) -> bool:
        """Whether the answer reached its end.

        A model that did not answer as it was told to is told once more, if nothing is sent yet; of
        several answers none is.
        """
        try:
            async with aclosing(self._answers(wish, account, reply.base)) as events:
                return await (reply.stream(events) if wish.stream else reply.whole(events))
        except NotObeyed as error:
            if wish.stream or wish.n > 1 or not error.said:
                raise
            log.info("request %s: is asked once more (%s)", account.request_id, error.message)
            more = instruct.again(error.said, error.message)
            account.repeats(wish.prompt_tokens + count_turns(more))
            wish = replace(wish, turns=(*wish.turns, *more))
        async with aclosing(self._answers(wish, account, reply.base)) as events:
            return await reply.whole(events)

    def _answers(self, wish: Wish, account: Account, base: str) -> Answer:
        """The answer, or all of them as one."""
        if wish.n == 1:
            return self._shown(wish, account, base)
        accounts = [account, *(account.beside() for _ in range(wish.n - 1))]
        return abreast.together([self._shown(wish, each, base) for each in accounts], accounts)

    def _shown(self, wish: Wish, account: Account, base: str) -> Answer:
        """The events of an answer as the client sees them, who has found us at `base`."""
        heard = self._dispatch.answer(wish, account.request_id, account)
        if wish.image_format == "file":
            heard = self.kept.answer(heard, base)
        answer: Answer = heard
        if wish.emulation is not None:  # first: a client knows nothing of how calls are written
            sides = self._dispatch.sides(wish)
            heard = through(heard, Hearing(account))
            answer = through(heard, obeyed.Reader(wish.emulation, sides, guard.new_id))
        if wish.is_cut:
            answer = through(answer, cut.Cutter(wish, self._dispatch.sides(wish)))
        return answer

    async def count_tokens(self, words: Counting, request: web.Request) -> web.Response:
        """How long a request would be: an estimate, which no instance is asked for."""
        body = await guard.posted(request, self.settings.api)
        wish = guard.taken(words.parse(body, self.settings.files), self.settings.api, words.field)
        notes = notes_of(wish, None)
        return web.Response(body=words.told(wish), content_type=guard.JSON, headers=notes)

    async def file_content(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/files/{id}/content: an image of an answer, as long as it is kept.

        Each part of it is to be taken within the patience that a stream has.
        """
        entrance.allow(request, self.settings.chat.idle_timeout_s)
        with closing(await self.kept.open(request.match_info["id"])) as file:
            response = web.StreamResponse(headers=_IMAGE_HEADERS)
            response.content_type, response.content_length = file.kind, file.size_bytes
            await response.prepare(request)
            parts = () if request.method == "HEAD" else range(0, file.size_bytes, _PART_BYTES)
            for begin in parts:
                await response.write(await file.part(begin, _PART_BYTES))
            await response.write_eof()
        return response

    def adjust(self, settings: FrontendSettings) -> None:
        """Go by these settings from the next request on."""
        self.settings = settings
        self.kept.rules = settings.files
        self.once.adjust(*_once_s(settings))
        self.keys.take(settings.keys, settings.keys_fault)

    async def close(self) -> None:
        """Write down what keys have used."""
        await self.keys.close()
        self.counters.close()

    # -- models and health ------------------------------------------------------------------------

    async def models(self, request: web.Request) -> web.Response:
        """GET /v1/models, which OpenAI's and Anthropic's clients both ask."""
        told = _teller(request)
        listed = [told(each, self._born_unix_s) for each in self._dispatch.models()]
        return _json({"object": "list", "data": listed, **messages.page_of(listed)})

    async def model(self, request: web.Request) -> web.Response:
        """GET /v1/models/{id}."""
        wanted = request.match_info["id"]
        for each in self._dispatch.models():
            if each.id == wanted:
                return _json(_teller(request)(each, self._born_unix_s))
        raise ModelNotFound(
            f"model: there is no {wanted!r}; GET /v1/models lists what there is", param="model"
        )

    async def healthz(self, _request: web.Request) -> web.Response:
        """GET /healthz: this process serves."""
        return _json({"status": "ok"})

    async def readyz(self, _request: web.Request) -> web.Response:
        """GET /readyz: an instance could take a chat; and what is wrong with the store of keys."""
        is_ready = self._dispatch.is_ready() and not self.is_closing
        told = {"status": "ready" if is_ready else "no instance is ready"}
        if self.keys.asks_for("chat") and (fault := await self._keys_fault()):
            told["keys"] = fault
        return _json(told, status=200 if is_ready else 503)

    async def _keys_fault(self) -> str:
        return "; ".join(filter(None, (await self.store_fault(), self.counters.fault)))


async def _nothing() -> str:
    return ""


def told_of(left: Allowance, path: str) -> dict[str, str]:
    """What a key has left, in the words of the path's clients."""
    if VOCABULARIES.get(path) is messages.MESSAGES:
        return quota.anthropic_headers(left, _date_in)
    return quota.headers(left)


def _date_in(seconds: float) -> str:
    """The date in so many seconds, not sooner (RFC 3339)."""
    at_unix_s = math.ceil(wall_time_s() + seconds)
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_unix_s))


def scope_of(path: str) -> Scope | None:
    """What a key has to be for, to be let in here; none where no key is asked for."""
    return next(scope for begin, scope in SCOPES if path.startswith(begin))


_Taken = TypeVar("_Taken")
_Taken_contra = TypeVar("_Taken_contra", contravariant=True)
_Given = TypeVar("_Given")
_Given_co = TypeVar("_Given_co", covariant=True)


class Step(Protocol[_Taken_contra, _Given_co]):
    """A brain on the way of an answer's events."""

    is_over: bool

    def take(self, event: _Taken_contra) -> Sequence[_Given_co]:
        """What goes on once this has come."""
        ...


async def through(
    events: AsyncGenerator[_Taken], step: Step[_Taken, _Given]
) -> AsyncGenerator[_Given]:
    """What a brain makes of the events; the page is told to stop when it wants no more of them."""
    async with aclosing(events):
        async for event in events:
            for each in step.take(event):
                yield each
            if step.is_over:
                return


def _once_s(settings: FrontendSettings) -> tuple[float, float]:
    """For how long answers are kept for who asks again, and how long one is waited for."""
    wait_s = settings.queue.wait_s + settings.chat.total_timeout_s
    return settings.api.idempotency_keep_s, wait_s


def _teller(request: web.Request) -> Callable[[Model, int], dict[str, object]]:
    """In whose words a model is told: Anthropic's clients always send the version they speak."""
    return messages.model_object if "anthropic-version" in request.headers else openai.model_object


def _json(body: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, content_type=guard.JSON)
