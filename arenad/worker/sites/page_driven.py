"""A site driven as a person drives it: choose the model, write, send; read what the page gets."""

import asyncio
import logging
import re
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from arenad.conversation import key_of
from arenad.errors import (
    ChatFull,
    Expired,
    InvalidRequest,
    ModelNotFound,
    ProfileOutdated,
    RequestError,
    Resting,
    TimedOut,
    UpstreamFailed,
    WorkerLost,
)
from arenad.log import wall_time_s
from arenad.schema.chat import Attachment, Chat, Course, Finish, Mode, Turn
from arenad.schema.process import Model
from arenad.schema.profile import Profile, StreamRules
from arenad.worker.first_answer import FirstAnswer
from arenad.worker.listen import listen
from arenad.worker.page_port import BrowserError, BrowserGone, PagePort
from arenad.worker.sites.attachments import attached
from arenad.worker.sites.catalog import BATTLE, with_modes
from arenad.worker.sites.driver import LANDMARK_TIMEOUT_S, Driver
from arenad.worker.sites.fold import fold, with_system
from arenad.worker.sites.held import Shelf, SiteChat
from arenad.worker.sites.patience import asked_rest_s
from arenad.worker.sites.performing import Asked, Deadline, perform
from arenad.worker.sites.pictures import bringing
from arenad.worker.sites.reading import Reading
from arenad.worker.sites.telling import Emit, Telling
from arenad.worker.sites.upload import Upload
from arenad.worker.source import Source

STOP_TIMEOUT_S = 2.0
GONE_S = 1.0
"""A page that is drawing itself anew gets so long to show its prompt again."""


UNAUTHORIZED = 401

IN_PAGE = ("dom", "any")
"""Transports whose answer is read as the page shows it."""

log = logging.getLogger("arenad.site")

_VISIBLE = re.compile(r"[^\s\ufeff]")
"""What a page takes for a prompt: without any such character its send button stays disabled."""


class Message(NamedTuple):
    """What is written and attached at once."""

    prompt: str
    files: tuple[Attachment, ...] = ()


class PageSite:
    """One page on one site; performs one chat at a time."""

    together = 1

    def __init__(
        self, page: PagePort, profile: Profile, url: str, scratch: Path | None = None
    ) -> None:
        """`url` is the site's address, to which the profile's start path belongs.

        Files of a message stand below `scratch` as long as it takes.
        """
        self.models: tuple[Model, ...] = ()
        self.session_id = self.message_id = ""
        self._url = url
        self._profile = profile
        self._stream = profile.stream
        self._mode: Mode = "direct"
        self._is_fresh = False
        self._is_half_written = False
        self._url_before = ""
        self._capture: Source | None = None
        rules = profile.conversation
        self._shelf = Shelf(rules.held if rules.shows else 1)
        self._shown: SiteChat | None = None
        self._told_held: tuple[str, ...] = ()
        self.on_held: Callable[[tuple[str, ...]], None] = lambda _keys: None
        """Called with the keys of all conversations that can be gone on with, at each change."""
        self._upload = Upload(scratch)
        self._must_open = True
        """What the page shows is unknown, or to be left behind: another document has to come."""

        self.move(page)

    def move(self, page: PagePort) -> None:
        """Go on in another page, which is blank: nothing of the last one's session is left."""
        self._page = page
        self._mode = "direct"
        self._is_fresh, self._must_open = False, True
        self._drivers = {
            mode: Driver(page, self._profile.in_mode(mode), self._url)
            for mode in self._profile.modes_offered()
        }
        self._capture = self._shown = None
        self.session_id = self.message_id = ""
        self._shelf.clear()
        self._tell_held()

    @property
    def _driver(self) -> Driver:
        """The one for the mode that the page is in."""
        return self._drivers[self._mode]

    async def open(self) -> None:
        """Open the start page and read its models. Raises a `RequestError`, or `BrowserError`."""
        self._capture = None
        if not self._profile.conversation.shows:
            self._shelf.clear()
            self._tell_held()
        with self._at_work():
            await self._open_in("direct")
        self._is_fresh = True
        self._is_half_written = False
        await self.learn_models()

    @contextmanager
    def _at_work(self) -> Generator[None, None, None]:
        """The page is acted on for so long, and drawn as often as that needs."""
        self._page.draw_for("acting")
        try:
            yield
        finally:
            self._page.draw_for("resting")

    async def _open_in(self, mode: Mode) -> None:
        """Open the start page of a mode, in which the page is only once that has succeeded."""
        self._shown, self._must_open = None, True
        await self._drivers[mode].open()
        self._mode, self._must_open = mode, False

    async def learn_models(self) -> None:
        """Read the page's models. Raises `ProfileOutdated`, or `BrowserError`."""
        self.models = with_modes(await self._driver.models(), self._profile)

    def touched(self) -> None:
        """Somebody else acted on the page: what it shows is no new chat, and none of ours.

        It may be in another mode by now, or hold files and words of theirs.
        """
        self._is_fresh, self._must_open = False, True
        self._shelf.clear()
        self._tell_held()

    async def look(self) -> None:
        """Raises what keeps a chat from beginning on the idle page, or `BrowserError`."""
        await self._driver.look(GONE_S)

    # -- one chat ----------------------------------------------------------------------------------

    async def chat(self, chat: Chat, emit: Emit) -> Finish:
        """Perform one chat, in the site's chat that holds its conversation, or in a new one.

        Raises a `RequestError`.
        """
        self._check_models(chat)
        turns = with_system(chat.turns, self._profile.conversation)
        telling = Telling(bringing(self._page, emit, chat.image_bytes))
        whole = Deadline.of_whole(chat)
        try:
            with self._at_work():
                return await self._continued(chat, whole, telling) or await self._perform(
                    chat, whole, self._message(chat, turns), telling, _course(turns)
                )
        except RequestError as error:
            if isinstance(error, ProfileOutdated):
                self._stream = self._profile.stream  # what was learnt may hold no more
            raise await self._driver.explained(self._refined(error)) from error
        except TimeoutError as error:
            raise TimedOut(whole.too_late) from error
        except BrowserGone as error:
            raise WorkerLost(str(error)) from error
        except BrowserError as error:
            raise UpstreamFailed(f"the page does not do as it is told: {error}") from error
        finally:
            if self._capture is not None:
                self._capture.abandon()
            self._upload.clear()

    def _check_models(self, chat: Chat) -> None:
        modes = {model.id: model.modes for model in self.models}
        for name in filter(None, (chat.model, chat.model_b)):
            if chat.mode not in modes.get(name, ()):
                how = "" if chat.mode == "direct" else f" for {chat.mode}"
                raise ModelNotFound(f"the site has no model {name!r}{how}", param="model")

    def _refined(self, error: RequestError) -> RequestError:
        """What the answer's head tells of a refusal: for how long, or that we are unknown there."""
        if self._capture is None:
            return error
        if isinstance(error, Resting):
            rest_s = asked_rest_s(self._capture.headers, wall_time_s())
            error.retry_after_s = rest_s or error.retry_after_s
        if isinstance(error, UpstreamFailed) and self._capture.status == UNAUTHORIZED:
            return Expired(error.message)
        return error

    # -- conversations -----------------------------------------------------------------------------

    async def _continued(self, chat: Chat, whole: Deadline, telling: Telling) -> Finish | None:
        """Send only the new turn, into the chat that holds all others; None if there is none.

        A chat that does not take it, being full or lost, is given up for a new one.
        """
        known = self._shelf.take(chat.conversation)
        if known is None and not self._profile.conversation.shows:
            self._shelf.clear()
        self._tell_held()
        async with asyncio.timeout_at(whole.at_s):
            if known is None or not await self._is_shown(known):
                return None
        try:
            message = self._message(chat, chat.turns[-1:])
            return await self._perform(chat, whole, message, telling, "continued")
        except (ChatFull, UpstreamFailed, ProfileOutdated) as error:
            if telling.has_told:
                raise
            log.info("request %s: its chat does not go on (%s)", chat.request_id, error.message)
        return None

    async def _is_shown(self, known: SiteChat) -> bool:
        """Whether the page shows this chat, or has opened it.

        Its address alone does not tell: on many sites all chats have the same one.
        """
        there = self._page.documents, self._page.url
        if known == self._shown and not self._must_open and there == (known.document, known.url):
            return True
        if not known.session or not self._profile.conversation.shows:
            return False
        self._shown, self._must_open = None, True
        try:
            await self._drivers["direct"].open_chat(known.session)
        except ProfileOutdated as error:
            log.info("the chat %s is not to be had any more (%s)", known.session, error.message)
            return False
        self._mode, self._must_open = "direct", False
        return True

    def _hold(self, chat: Chat, telling: Telling) -> None:
        """After an answer: the conversation up to it can be gone on with, if it has one side."""
        strategy = chat.strategy or self._profile.conversation.strategy
        if strategy == "affinity" and chat.mode == "direct":
            answers = [Turn(role="assistant", text=text) for text in telling.texts]
            keys = {key_of(chat.model, (*chat.turns, answer)): None for answer in answers}
            page = self._page
            self._shown = SiteChat(self.session_id, page.url, page.documents)
            self._shelf.put(self._shown, keys)
        self._tell_held()

    def _tell_held(self) -> None:
        if (keys := self._shelf.keys) != self._told_held:
            self._told_held = keys
            self.on_held(keys)

    # -- one answer --------------------------------------------------------------------------------

    def _message(self, chat: Chat, turns: Sequence[Turn]) -> Message:
        prompt, most = fold(turns), self._profile.limits.prompt_chars
        if not _VISIBLE.search(prompt):
            raise InvalidRequest("messages: there is nothing in them to send", param="messages")
        if most and len(prompt) > most:
            told = f"are {len(prompt)} characters as one prompt; the site takes {most}"
            raise ChatFull(f"messages: {told}", param="messages")
        wanted = [name for name in (chat.model, chat.model_b) if name]
        return Message(prompt, attached(turns, self._profile, wanted, self.models))

    async def _perform(
        self, chat: Chat, whole: Deadline, message: Message, telling: Telling, course: Course
    ) -> Finish:
        reading = self._reading(chat)
        reading.asked(message.prompt)

        async def ask() -> Asked:
            return Asked(await self._send(chat, message, is_new=course != "continued"), reading)

        async def on_news() -> None:
            await self._began(telling, course, reading)

        finish = await perform(chat, whole, ask, telling.event, on_news)
        if isinstance(self._capture, FirstAnswer):
            self._stream = self._capture.learnt or self._stream
        self._hold(chat, telling)
        return finish

    async def _began(self, telling: Telling, course: Course, reading: Reading) -> None:
        """Tell by which course it goes, and the names that the page's traffic shows by now."""
        url = self._page.url
        is_old = course != "continued" and url == self._url_before
        shown = reading.session_id or ("" if is_old else self._driver.session_of(url))
        self.session_id, self.message_id = shown, ", ".join(reading.message_ids)
        await telling.began(course, self.session_id, self.message_id)

    def _rules(self, mode: Mode) -> StreamRules:
        return self._stream if mode == "direct" else self._drivers[mode].profile.stream

    def _reading(self, chat: Chat) -> Reading:
        rules = self._rules(chat.mode)
        if chat.mode == "direct":
            return Reading(rules)
        sides = {"A": "a", "B": "b", "both": "ab"}[chat.battle_target]
        return Reading(rules, sides, is_one_of_two=len(sides) == 1)

    async def _send(self, chat: Chat, message: Message, *, is_new: bool) -> Source:
        self._page.draw_for("acting")  # again, where a chat that did not go on is given up
        await self._begin(chat.mode, is_new=is_new)
        driver, rules = self._driver, self._rules(chat.mode)
        choices = [] if chat.mode == BATTLE else [(self._site_name(chat.model), "")]
        choices += [(self._site_name(chat.model_b), "_b")] if chat.model_b else []
        for name, side in choices:
            await driver.choose(name, side)
        if message.files:
            self._must_open = True  # until they are sent
            await self._upload.attach(self._page, driver, driver.profile, message.files)
        await driver.write(message.prompt)
        stop = driver.profile.landmarks.stop
        self._capture = source = await listen(self._page, rules, stop, message.prompt)
        await driver.send()
        try:
            async with asyncio.timeout(LANDMARK_TIMEOUT_S):
                await source.sent()
        except TimeoutError as error:
            made = f"no request like {rules.url_pattern}" if rules.url_pattern else "no answer"
            raise ProfileOutdated(f"send was pressed, but the page made {made}") from error
        self._is_half_written = self._must_open = False
        self._page.draw_for("watching" if rules.transport in IN_PAGE else "streaming")
        return source

    async def _begin(self, mode: Mode, *, is_new: bool) -> None:
        """A new chat in this mode, or the one that is shown.

        What runs on unread, as one side of a battle may, is stopped.
        """
        source, is_fresh = self._capture, self._is_fresh
        self._is_fresh, self._is_half_written, self._shown = False, True, None
        if source is not None and not source.is_over:
            await self._stop_unread(source)
        if mode != self._mode or self._must_open:
            await self._open_in(mode)
        elif is_new and not is_fresh:
            await self._driver.new_chat()
        self._url_before = self._page.url  # still that of an earlier chat, if it is any chat's

    async def _stop_unread(self, source: Source) -> None:
        """And seen to end: a page that is left at once may take its word back with its answer."""
        if await self._page.is_usable(self._driver.profile.landmarks.stop):
            with suppress(ProfileOutdated, TimeoutError):
                await self._press_stop(source)

    def _site_name(self, model: str) -> str:
        return self._profile.models.aliases.get(model, model)

    # -- after a chat that was cancelled -----------------------------------------------------------

    async def stop(self) -> bool:
        """Leave a page on which a next chat can begin; whether that worked."""
        try:
            if self._is_half_written:
                await self.open()  # whatever stands half done there is gone with the document
            elif self._capture is not None:
                with self._at_work():
                    await self._press_stop(self._capture)
        except (RequestError, BrowserError, TimeoutError) as error:
            log.info("the page did not stop (%s)", error or "the answer ran on")
            return False
        return True

    async def _press_stop(self, source: Source) -> None:
        if source.is_over:
            return
        stop = self._driver.profile.landmarks.stop
        try:
            await self._driver.stop(STOP_TIMEOUT_S)
        except ProfileOutdated:
            # The button may be gone because the answer was done, which a socket does not tell.
            if source.has_end and not source.is_over:
                raise
            return
        if source.has_end:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await source.over()
        elif not await self._page.is_gone(stop, STOP_TIMEOUT_S):
            raise TimeoutError


def _course(turns: Sequence[Turn]) -> Course:
    """What a new chat is begun with: one message, or all that was said before it."""
    return "folded" if sum(turn.role != "system" for turn in turns) > 1 else "new"
