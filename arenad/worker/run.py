"""The worker from its first line to its last: browser, page, session, chats, beats, probes."""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from msgspec.structs import replace

from arenad import child
from arenad.errors import ArenadError, RequestError
from arenad.link import Tasks
from arenad.schema.frame import Body
from arenad.schema.process import (
    Beat,
    Drained,
    ForkOrder,
    Model,
    ModelsAre,
    Ready,
    SessionIs,
    Welcome,
    WorkerSettings,
)
from arenad.worker.browser import Browser, launch
from arenad.worker.devtools import BrowserGone, DevToolsError
from arenad.worker.health import Health
from arenad.worker.meter import Meter
from arenad.worker.news import is_news
from arenad.worker.page import Page
from arenad.worker.serve import ChatServer
from arenad.worker.session import (
    PAUSING,
    WAITING,
    Event,
    Order,
    Session,
    after_look,
    after_open,
    pause_s,
    step,
)
from arenad.worker.sites.page_driven import PageSite

BEAT_INTERVAL_S = 2.0
"""Busy and counters; memory is measured at the slower interval of the probes."""

EXIT_GRACE_S = 1.0
"""How long the exit code of a browser whose pipe has closed is waited for."""

logger = logging.getLogger("arenad.worker")


def main(order: ForkOrder, switch: int, sockets: Sequence[socket.socket]) -> int:
    """Live as a worker; gives the exit code."""
    return child.live(order, switch, sockets, run)


async def run(me: child.Child, welcome: Welcome) -> None:
    """Until told to stop, or the browser or its page is beyond repair."""
    if welcome.worker is None:
        raise ArenadError("the master sent a worker no worker's settings")
    _enter_group(me.order, is_required=welcome.worker.group_required)
    worker = Worker(me, welcome.worker)
    me.on_note = worker.on_note
    worker.begin()
    try:
        await me.stopping.wait()
    finally:
        await worker.close()


def _enter_group(order: ForkOrder, *, is_required: bool) -> None:
    """Before our first process, so that all of them are born there. Raises `ArenadError`."""
    if order.group_fd < 0:
        return
    try:
        os.write(order.group_fd, b"0")
    except OSError as error:
        said = f"cannot enter the control group {order.group}: {error.strerror}"
        if is_required:
            raise ArenadError(said) from error
        logger.warning("%s; going on without", said)
    finally:
        os.close(order.group_fd)


class Worker:
    """Holds the parts of one instance together."""

    def __init__(self, me: child.Child, settings: WorkerSettings) -> None:
        """Nothing runs yet."""
        self._me = me
        self._settings = settings
        self._session = Session()
        self._tasks = Tasks()
        self._meter = Meter()
        self._reading = self._meter.take(0.0)
        self._readings = 0
        self._measured_s = time.monotonic()
        self._lag_ms = 0.0
        self._look_at_s = 0.0
        self._told_models: tuple[Model, ...] = ()
        self._turned = asyncio.Event()
        self._browser: Browser | None = None
        self._health: Health | None = None
        self._site: PageSite | None = None
        self._server: asyncio.Server | None = None
        self._chats: ChatServer | None = None

    def begin(self) -> None:
        """Start in the background, so that a word to stop is heard at any moment of it."""
        self._keep(self._start, "start")

    def on_note(self, body: Body) -> None:
        """The master has new settings: the times of the probes are taken at once."""
        if isinstance(body, Welcome) and body.worker is not None:
            self._settings = replace(self._settings, health=body.worker.health)
            if self._health is not None:
                self._health.settings = body.worker.health

    def _keep(self, work: Callable[[], Awaitable[None]], name: str) -> None:
        self._tasks.start(self._guarded(work), name)

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        """No part of the worker ends in silence: what goes wrong is its end, and says why."""
        try:
            await work()
        except BrowserGone:
            pass
        except (ArenadError, OSError) as error:
            self.break_off(str(error) or type(error).__name__)
        except Exception:  # the boundary of a part: a bug in one is the end of all
            logger.exception("a bug; leaving to be replaced")
            self._me.leave(child.EXIT_BUG)

    async def _start(self) -> None:
        """Launch, open, listen, say ready. Raises `ArenadError`, `OSError`."""
        started_s = time.monotonic()
        settings = self._settings
        self._say("the browser starts")
        scratch = Path(settings.scratch_dir)
        self._browser = browser = await launch(settings.browser, scratch, self._me.name)
        self._keep(partial(self._watch_browser, browser), "watch the browser")
        page = await Page.create(browser.devtools)
        self._keep(partial(self._watch_page, page), "watch the page")
        self._site = site = PageSite(page, settings.profile, settings.site_url)
        opened = await self._try_to_open(site)
        self._chats = chats = ChatServer(site, settings.slots, self._on_session)
        site.on_held = chats.tell_held
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(chats.link, settings.socket_path)
        os.chmod(settings.socket_path, 0o600)  # noqa: PTH101 - one quick call on a local disk
        self._told_models = site.models
        self._me.master.note(Ready(site.models))
        took_s = time.monotonic() - started_s
        await self._take(opened, f"{browser.version}, open after {took_s:.1f} s")
        self._health = health = Health(browser, page, settings.health, lambda: chats.is_answering)
        self._keep(partial(self._watch_health, browser, health), "watch the health")
        self._keep(partial(self._look, site, chats), "look")
        self._keep(partial(self._beat, chats), "beat")
        self._keep(partial(self._drain, chats), "drain")

    def _say(self, reason: str, rest_s: float | None = None) -> None:
        self._me.master.note(SessionIs(self._session.condition, reason, rest_s))

    # -- the session -------------------------------------------------------------------------------

    async def _on_session(self, event: Event, reason: str, asked_s: float | None = None) -> None:
        """One step of the session; returns when the page can be used again, or has to wait.

        That the browser is gone is seen in many places at once; only who watches it says so, who
        also knows how it ended.
        """
        if event is Event.CHAT_FAILED and self._health is not None:
            self._health.suspect()
        before = self._session
        self._session, order = step(before, event)
        if order is Order.WAIT:
            self._wait(before, reason, asked_s)
        elif self._session.condition != before.condition:
            self._say(reason)
        if order is Order.GIVE_UP and event is not Event.BROKE:
            self.break_off(reason)
        elif order is Order.OPEN and self._site is not None:
            await self._take(await self._try_to_open(self._site), "opened anew")

    def _wait(self, before: Session, reason: str, asked_s: float | None) -> None:
        """Leave the page in peace for a while, and say for how long."""
        rest_s = pause_s(self._session, asked_s, self._settings.health.interval_s)
        self._look_at_s = time.monotonic() + rest_s
        self._turned.set()
        if self._session.condition in PAUSING:
            self._say(f"{reason} (tried again in {rest_s:.3g} s)", rest_s)
        elif self._session.condition != before.condition:
            self._say(reason)

    async def _try_to_open(self, site: PageSite) -> RequestError | None:
        """Open the page; gives what kept it from being one on which a chat can begin.

        Raises `ArenadError` when no session knows of that, or the browser is gone.
        """
        try:
            await site.open()
        except RequestError as error:
            if after_open(error.kind) is None:
                raise
            return error
        return None

    async def _take(self, error: RequestError | None, reason: str) -> None:
        """The page was opened, or not: go on from there."""
        if error is not None and (event := after_open(error.kind)) is not None:
            await self._on_session(event, error.message, error.retry_after_s)
            return
        if self._site is not None and self._chats is not None:
            self._tell_models(self._site)
        await self._on_session(Event.OPENED, reason)

    def _tell_models(self, site: PageSite) -> None:
        if site.models != self._told_models:
            self._told_models = site.models
            self._me.master.note(ModelsAre(site.models))

    def break_off(self, reason: str) -> None:
        """Say why, and leave: a fresh process is the one way of repair."""
        if self._me.stopping.is_set():
            return
        self._session, _ = step(self._session, Event.BROKE)
        logger.error("broken: %s; leaving to be replaced", reason)
        self._say(reason)
        self._me.leave(child.EXIT_BROKEN)

    async def _watch_browser(self, browser: Browser) -> None:
        await browser.devtools.lost.wait()
        has_ended = await browser.ended(EXIT_GRACE_S)
        self.break_off(f"the browser {f'ended ({browser.exit_text})' if has_ended else 'hung up'}")

    async def _watch_health(self, browser: Browser, health: Health) -> None:
        """What hangs does not leave politely: it is killed, for the next one to come at once."""
        self.break_off(await health.trouble())
        browser.kill()

    async def _watch_page(self, page: Page) -> None:
        await page.crashed.wait()
        self.break_off("the page crashed")

    # -- at intervals ------------------------------------------------------------------------------

    async def _beat(self, chats: ChatServer) -> None:
        """Tell the master what changed by so much that it matters."""
        told, told_s = None, 0.0
        while True:
            beat = Beat(
                busy=chats.busy,
                answered=chats.answered,
                failed=chats.failed,
                memory_bytes=self._reading.memory_bytes,
                processes=self._reading.processes,
                cpu_percent=self._reading.cpu_percent,
                loop_lag_ms=self._lag_ms,
                descriptors=self._reading.descriptors,
                readings=self._readings,
            )
            now_s = time.monotonic()
            if is_news(told, beat, now_s - told_s):
                self._me.master.note(beat)
                told, told_s = beat, now_s
            await asyncio.sleep(BEAT_INTERVAL_S)

    async def _look(self, site: PageSite, chats: ChatServer) -> None:
        """Measure, and see that the page is still one on which a chat can begin."""
        while True:
            now_s = time.monotonic()
            # The kernel walks the page tables of the whole tree, for some 30 ms: not in our loop.
            self._reading = await asyncio.to_thread(self._meter.take, now_s - self._measured_s)
            self._measured_s = now_s
            self._readings += 1
            self._lag_ms = self._me.lag_ms
            is_due = self._session.condition not in WAITING or now_s >= self._look_at_s
            if is_due and not chats.busy:
                await self._look_at_page(site, chats)
            await self._until_next_look()

    async def _until_next_look(self) -> None:
        """The interval, or what is left of a pause, also of one that begins meanwhile."""
        left_s = self._settings.health.interval_s
        if self._session.condition in WAITING:
            left_s = min(left_s, max(0.0, self._look_at_s - time.monotonic()))
        self._turned.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(left_s):
                await self._turned.wait()

    async def _look_at_page(self, site: PageSite, chats: ChatServer) -> None:
        """A chat that comes meanwhile waits for the page, which is about to be opened anew."""
        async with chats.page_turn():
            try:
                await site.look()
                if not site.models:
                    await site.learn_models()
            except BrowserGone:
                raise
            except DevToolsError as error:
                logger.info("the page could not be looked at: %s", error)
                if self._health is not None:
                    self._health.suspect()
            except RequestError as error:
                event = after_look(self._session, error.kind)
                await self._on_session(event, error.message, error.retry_after_s)
            else:
                self._tell_models(site)
                await self._on_session(Event.USABLE, "the page can be used again")

    async def _drain(self, chats: ChatServer) -> None:
        await self._me.draining.wait()
        chats.refuse_new()
        await chats.idle.wait()
        self._me.master.note(Drained())

    async def close(self) -> None:
        """Leave nothing: sockets, browser, scratch folder."""
        await self._tasks.close()
        if self._server is not None:
            self._server.close()
        if self._chats is not None:
            await self._chats.close()
        if self._browser is not None:
            await self._browser.close()
        with suppress(FileNotFoundError):
            os.unlink(self._settings.socket_path)  # noqa: PTH108 - as above
