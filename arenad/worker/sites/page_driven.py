"""A site driven as a person drives it: choose the model, write, press send; read what the page receives."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from urllib.parse import urljoin

from arenad.errors import (
    InvalidRequest,
    ModelNotFound,
    ProfileOutdated,
    RequestError,
    Resting,
    TimedOut,
    UpstreamFailed,
)
from arenad.schema.chat import Chat, Event, Finish, TextDelta
from arenad.schema.process import Model
from arenad.schema.profile import Profile
from arenad.worker.capture import Capture
from arenad.worker.page import Page
from arenad.worker.sites.catalog import models_in
from arenad.worker.sites.fold import fold
from arenad.worker.sites.grammar import ArenaLines

LANDMARK_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 2.0
ERROR_BODY_CHARS = 300
HTTP_ERROR = 400
PAYLOAD_TOO_LARGE = 413
TOO_MANY_REQUESTS = 429

Emit = Callable[[Event], Awaitable[None]]

log = logging.getLogger("arenad.site")


class PageSite:
    """One page on one site; performs one chat at a time."""

    def __init__(self, page: Page, profile: Profile, url: str) -> None:
        """`url` is the site's address, to which the profile's start path belongs."""
        self.models: tuple[Model, ...] = ()
        self._page = page
        self._profile = profile
        self._url = urljoin(url, profile.start_path)
        self._is_fresh = False
        self._capture: Capture | None = None

    async def open(self) -> None:
        """Open the start page and read its models.

        Raises `ProfileOutdated`, `DevToolsError` or `TimeoutError`.
        """
        await self._page.open(self._url)
        marks = self._profile.landmarks
        for selector in self._profile.dismiss:
            if await self._page.is_usable(selector):
                await self._page.press("dismiss", selector, LANDMARK_TIMEOUT_S)
        await self._page.wait_for("prompt", marks.prompt, LANDMARK_TIMEOUT_S)
        self.models = models_in(await self._page.html(), self._profile.models.anchor)
        self._is_fresh = True

    # -- one chat -----------------------------------------------------------------------------------

    async def chat(self, chat: Chat, emit: Emit) -> Finish:
        """Perform one chat in a new conversation of the site's. Raises a `RequestError`."""
        if chat.model not in {model.id for model in self.models}:
            raise ModelNotFound(f"the site has no model {chat.model!r}", param="model")
        try:
            async with asyncio.timeout(chat.total_timeout_s):
                return await self._perform(chat, emit)
        except TimeoutError as error:
            raise TimedOut(
                f"the whole answer took longer than {chat.total_timeout_s:g} s"
            ) from error

    async def _perform(self, chat: Chat, emit: Emit) -> Finish:
        try:
            async with asyncio.timeout(chat.first_event_timeout_s):
                capture = await self._send(chat)
                piece = await capture.read()
        except TimeoutError as error:
            raise TimedOut(f"nothing came within {chat.first_event_timeout_s:g} s") from error
        if capture.status >= HTTP_ERROR:
            raise await self._refusal(capture, piece)
        return await self._read(capture, piece, chat.idle_timeout_s, emit)

    async def _send(self, chat: Chat) -> Capture:
        page, marks = self._page, self._profile.landmarks
        if not self._is_fresh:
            await page.press("new_chat", marks.new_chat, LANDMARK_TIMEOUT_S)
        self._is_fresh = False
        await self._choose(chat.model)
        await page.write("prompt", marks.prompt, fold(chat.turns), LANDMARK_TIMEOUT_S)
        rules = self._profile.stream
        self._capture = capture = page.capture(rules.url_pattern, rules.method)
        await page.press("send", marks.send, LANDMARK_TIMEOUT_S)
        try:
            async with asyncio.timeout(LANDMARK_TIMEOUT_S):
                await capture.sent()
        except TimeoutError as error:
            raise ProfileOutdated(
                f"send was pressed, but the page made no request like {rules.url_pattern}"
            ) from error
        return capture

    async def _choose(self, model: str) -> None:
        page, marks = self._page, self._profile.landmarks
        if await page.is_usable(_with_model(marks.model_chosen, model)):
            return
        await page.press("model_picker", marks.model_picker, LANDMARK_TIMEOUT_S)
        option = _with_model(marks.model_option, model)
        await page.press("model_option", option, LANDMARK_TIMEOUT_S)

    async def _read(self, capture: Capture, piece: bytes, idle_s: float, emit: Emit) -> Finish:
        parser = ArenaLines()
        while piece:
            for event in _merged(parser.feed(piece)):
                await emit(event)
            try:
                async with asyncio.timeout(idle_s):
                    piece = await capture.read()
            except TimeoutError as error:
                raise TimedOut(f"the answer paused for more than {idle_s:g} s") from error
        events, outcome = parser.end()
        for event in _merged(events):
            await emit(event)
        if isinstance(outcome, RequestError):
            raise outcome
        return outcome

    async def _refusal(self, capture: Capture, piece: bytes) -> RequestError:
        body = piece
        async with asyncio.timeout(STOP_TIMEOUT_S):
            while piece := await capture.read():
                body += piece
        said = body.decode("utf-8", "replace")[:ERROR_BODY_CHARS]
        if capture.status == TOO_MANY_REQUESTS:
            after = capture.headers.get("retry-after", "")
            return Resting(
                f"the site asks for patience: {said}",
                retry_after_s=float(after) if after.isdigit() else None,
            )
        if capture.status == PAYLOAD_TOO_LARGE:
            return InvalidRequest(f"the site takes no prompt this long: {said}", param="messages")
        return UpstreamFailed(f"the site answered {capture.status}: {said}")

    async def stop(self) -> bool:
        """Have the page stop an answer that nobody wants any more; whether it did."""
        capture = self._capture
        if capture is None or capture.is_over:
            return True
        capture.abandon()
        marks = self._profile.landmarks
        try:
            await self._page.press("stop", marks.stop, STOP_TIMEOUT_S)
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await capture.over()
        except (TimeoutError, ProfileOutdated) as error:
            log.info("the page did not stop (%s)", error)
            return False
        return True


def _with_model(selector: str, model: str) -> str:
    """The selector for this model; quotes are escaped as CSS strings want it."""
    escaped = model.replace("\\", "\\\\").replace('"', '\\"')
    return selector.replace("{model}", escaped)


def _merged(events: Iterable[Event]) -> list[Event]:
    """Text that arrived together travels together."""
    merged: list[Event] = []
    for event in events:
        if isinstance(event, TextDelta) and merged and isinstance(merged[-1], TextDelta):
            merged[-1] = TextDelta(merged[-1].text + event.text)
        else:
            merged.append(event)
    return merged
