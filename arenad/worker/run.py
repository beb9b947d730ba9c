"""The worker from its first line to its last: footing, session, chats, beats, looks."""

import asyncio
import logging
import os
import random
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial

from msgspec.structs import replace

from arenad import child
from arenad.errors import ArenadError, RequestError
from arenad.link import Tasks
from arenad.schema.frame import Body
from arenad.schema.process import (
    Beat,
    Drained,
    Forget,
    ForkOrder,
    Model,
    ModelsAre,
    Ready,
    Renew,
    SessionIs,
    Welcome,
    WorkerSettings,
)
from arenad.schema.profile import Kind
from arenad.worker.browsing import Browsing
from arenad.worker.calling import Calling
from arenad.worker.echoing import Echoing
from arenad.worker.footing import Footing, Gone, Shaken, Site, Watch
from arenad.worker.gestures import FOR_A_PERSON
from arenad.worker.meter import Meter
from arenad.worker.news import News
from arenad.worker.renewal import Lease, why_now
from arenad.worker.serve import ChatServer
from arenad.worker.session import (
    PAUSING,
    RENEWABLE,
    WAITING,
    Event,
    Order,
    Session,
    after_look,
    after_open,
    pause_s,
    step,
)
from arenad.worker.views import Views

BEAT_INTERVAL_S = 2.0
"""Busy and counters; memory is measured at the slower interval of the probes."""

KEEP_TIMEOUT_S = 2.0

FOOTINGS: dict[Kind, Callable[[WorkerSettings, str], Footing]] = {
    "page": Browsing,
    "openai-http": Calling,
    "echo": Echoing,
}
"""What a session stands on, by the kind of its site."""

VIEWED_LOOK_S = 1.0
"""Where a person is at work, the page is looked at so often: what is cleared serves at once."""

EARLY_S = 0.05
"""A timer may wake us so much before its time."""

logger = logging.getLogger("arenad.worker")


def main(order: ForkOrder, switch: int, sockets: Sequence[socket.socket]) -> int:
    """Live as a worker; gives the exit code."""
    return child.live(order, switch, sockets, run)


async def run(me: child.Child, welcome: Welcome) -> None:
    """Until told to stop, or what the session stands on is beyond repair."""
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
        self._footing = FOOTINGS[settings.profile.kind](settings, me.name)
        self._footing.on_renewed = self._on_renewed
        self._site: Site | None = None
        self._server: asyncio.Server | None = None
        self._chats: ChatServer | None = None
        self._sessions = 0
        self._lease = self._new_lease()
        self._views: Views | None = None

    def begin(self) -> None:
        """Start in the background, so that a word to stop is heard at any moment of it."""
        self._keep(self._start, "start")

    def on_note(self, body: Body) -> None:
        """The master has new settings, of which some are followed at once; or wants a renewal."""
        if isinstance(body, Renew):
            self._lease = replace(self._lease, wish="an operator wants one")
            self._turned.set()
        if isinstance(body, Forget):
            self._footing.forget()
        if isinstance(body, Welcome) and body.worker is not None:
            new = body.worker
            self._settings = replace(self._settings, health=new.health, session=new.session)
            self._footing.follow(body.worker.health)

    def _keep(self, work: Callable[[], Awaitable[None]], name: str) -> None:
        self._tasks.start(self._guarded(work), name)

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        """No part of the worker ends in silence: what goes wrong is its end, and says why."""
        try:
            await work()
        except Gone:
            pass
        except (ArenadError, OSError) as error:
            self.break_off(str(error) or type(error).__name__)
        except Exception:  # the boundary of a part: a bug in one is the end of all
            logger.exception("a bug; leaving to be replaced")
            self._me.leave(child.EXIT_BUG)

    async def _start(self) -> None:
        """Get a footing, open, listen, say ready. Raises `ArenadError`, `OSError`."""
        started_s = time.monotonic()
        settings, footing = self._settings, self._footing
        self._say(footing.starting)
        self._site = site = await footing.start()
        for name, watch in footing.watches().items():
            self._keep(partial(self._watch, watch), name)
        opened = await self._try_to_open(site)
        self._views = views = Views(self._footing, lambda: chats.busy > 0, self._look_soon)
        self._chats = chats = ChatServer(
            site, settings.slots, self._on_session, views.serve, self._guarded
        )
        chats.on_busy = self._on_busy
        site.on_held = chats.tell_held
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(chats.link, settings.socket_path)
        os.chmod(settings.socket_path, 0o600)  # noqa: PTH101 - one quick call on a local disk
        self._told_models = site.models
        self._me.master.note(Ready(site.models))
        took_s = time.monotonic() - started_s
        await self._take(opened, f"{footing.name}, open after {took_s:.1f} s")
        footing.opened(lambda: chats.is_answering)
        self._keep(partial(self._look, site, chats), "look")
        self._keep(partial(self._beat, site, chats), "beat")
        self._keep(partial(self._drain, chats), "drain")

    def _say(self, reason: str, rest_s: float | None = None) -> None:
        self._me.master.note(SessionIs(self._session.condition, reason, rest_s))
        if self._views is not None:
            self._views.tell(self._session.condition, reason)

    # -- the session -------------------------------------------------------------------------------

    async def _on_session(self, event: Event, reason: str, asked_s: float | None = None) -> None:
        """One step of the session; returns when the page can be used again, or has to wait.

        That the footing is gone is seen in many places at once; only who watches it says so, who
        also knows how it ended.
        """
        self._doubt(event)
        before = self._session
        self._session, order = step(before, event, self._footing.failures_limit)
        if order is Order.WAIT:
            self._wait(before, reason, asked_s)
        elif self._session.condition != before.condition:
            self._say(reason)
        if order is Order.GIVE_UP and event is not Event.BROKE:
            self.break_off(reason)
        elif order is Order.OPEN and self._site is not None:
            await self._take(await self._try_to_open(self._site), "opened anew")
        elif order is Order.RENEW and self._site is not None:
            await self._footing.renew()
            await self._take(await self._try_to_open(self._site), "a fresh session is open")
        if event is Event.CHAT_DONE:
            await self._renew_if_due()

    def _doubt(self, event: Event) -> None:
        """What else may be at fault than the site, before a step; and what is not to look so."""
        if event is Event.CHAT_FAILED:
            self._footing.suspect()
        if self._session.condition in WAITING:
            self._footing.skip_turns()
        self._doubt_login(event)

    def _doubt_login(self, event: Event) -> None:
        """A session that began with a saved login, and expired before any chat, was not helped.

        What expired is that login; a session without it is another try, which has had no doubt yet.
        """
        waits_in_vain = event is Event.UNUSABLE and self._session.condition == "expired"
        if not waits_in_vain and event is not Event.EXPIRED:
            return
        if self._answered == self._answered_before and self._footing.set_login_aside():
            logger.warning("the saved login does not help; on without it")
            self._session = replace(self._session, doubt="")

    async def _keep_login(self) -> None:
        """Only of a session that is well: what a login wall leaves is none."""
        if self._session.condition == "ready":
            with suppress(TimeoutError):
                async with asyncio.timeout(KEEP_TIMEOUT_S):
                    await self._footing.keep()

    def _on_renewed(self) -> None:
        """Have viewers see the next session. One that was left before it was open was none."""
        if self._views is not None:
            self._views.follow()
            self._lease = self._new_lease()

    def _new_lease(self) -> Lease:
        """A session begins."""
        self._sessions += 1
        self._answered_before = self._answered
        draw = random.random()  # noqa: S311 - jitter, no secret
        return Lease(began_s=time.monotonic(), chats=self._performed, draw=draw)

    @property
    def _answered(self) -> int:
        return self._chats.answered if self._chats is not None else 0

    @property
    def _performed(self) -> int:
        return self._answered + self._chats.failed if self._chats is not None else 0

    async def _renew_if_due(self) -> bool:
        """Begin a fresh session if it is time for one; the page is held meanwhile."""
        if self._session.condition not in RENEWABLE:
            return False
        reason = why_now(self._lease, time.monotonic(), self._performed, self._settings.session)
        if self._session.condition == "ready":
            has_answered = self._answered > self._answered_before
            reason = await self._footing.turn(has_answered=has_answered) or reason
        if reason:
            await self._keep_login()
            await self._on_session(Event.LASTED, f"a fresh session: {reason}")
        return bool(reason)

    def _wait(self, before: Session, reason: str, asked_s: float | None) -> None:
        """Leave the page in peace for a while, and say for how long."""
        is_viewed = self._views is not None and self._views.is_watched
        look_s = self._settings.health.interval_s
        look_s = min(look_s, VIEWED_LOOK_S) if is_viewed else look_s
        rest_s = pause_s(self._session, asked_s, look_s)
        self._look_at_s = time.monotonic() + rest_s
        self._turned.set()
        if self._session.condition in PAUSING:
            self._say(f"{reason} (tried again in {rest_s:.3g} s)", rest_s)
        elif self._session.condition != before.condition:
            self._say(reason)

    def _on_busy(self) -> None:
        """A chat has come, or ended: what was put off for it may be due."""
        if self._views is not None:
            self._views.refresh()
        if self._session.condition in WAITING:
            self._turned.set()

    def _look_soon(self) -> None:
        """Somebody looks at the page, or acts on it: what only they can clear may be so soon."""
        if self._session.condition in FOR_A_PERSON:
            soon_s = time.monotonic() + VIEWED_LOOK_S
            if self._look_at_s > soon_s:
                self._look_at_s = soon_s
                self._turned.set()

    async def _try_to_open(self, site: Site) -> RequestError | None:
        """Open the page; gives what kept it from being one on which a chat can begin.

        Raises `ArenadError` when no session knows of that, or the footing is gone.
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

    def _tell_models(self, site: Site) -> None:
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

    async def _watch(self, watch: Watch) -> None:
        self.break_off(await watch())

    # -- at intervals ------------------------------------------------------------------------------

    async def _beat(self, site: Site, chats: ChatServer) -> None:
        """Tell the master what changed by so much that it matters."""
        news = News()
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
                sessions=self._sessions,
                session_id=site.session_id,
                message_id=site.message_id,
                proxy=self._footing.proxy,
            )
            if news.take(beat, time.monotonic()):
                self._me.master.note(beat)
            await asyncio.sleep(BEAT_INTERVAL_S)

    async def _look(self, site: Site, chats: ChatServer) -> None:
        """Measure, and see that the page is still one on which a chat can begin."""
        while True:
            self._turned.clear()
            now_s = time.monotonic()
            since_s = now_s - self._measured_s
            if not self._readings or since_s >= self._settings.health.interval_s - EARLY_S:
                await self._measure(now_s)
            is_due = self._session.condition not in WAITING or now_s >= self._look_at_s
            is_due |= bool(self._lease.wish) and self._session.condition in RENEWABLE
            if is_due and not chats.busy:
                await self._look_at_page(site, chats)
            await self._until_next_look(chats)

    async def _measure(self, now_s: float) -> None:
        # The kernel walks the page tables of the whole tree, for some 30 ms: not in our loop.
        self._reading = await asyncio.to_thread(self._meter.take, now_s - self._measured_s)
        self._measured_s = now_s
        self._readings += 1
        self._lag_ms = self._me.lag_ms

    async def _until_next_look(self, chats: ChatServer) -> None:
        """The interval, or what is left of a pause, also of one that begins meanwhile.

        A pause that ends during a chat goes on until the chat has ended.
        """
        left_s = self._settings.health.interval_s
        if self._session.condition in WAITING and not chats.busy:
            left_s = min(left_s, max(0.0, self._look_at_s - time.monotonic()))
        with suppress(TimeoutError):
            async with asyncio.timeout(left_s):
                await self._turned.wait()

    async def _look_at_page(self, site: Site, chats: ChatServer) -> None:
        """A chat that comes meanwhile waits for the page, which is about to be opened anew."""
        async with chats.page_turn():
            if await self._renew_if_due():
                return
            try:
                await site.look()
                if not site.models:
                    await site.learn_models()
            except Gone:
                raise
            except Shaken as error:
                logger.info("the page could not be looked at: %s", error)
                self._footing.suspect()
            except RequestError as error:
                event = after_look(self._session, error.kind)
                await self._on_session(event, error.message, error.retry_after_s)
            else:
                self._tell_models(site)
                await self._on_session(Event.USABLE, "the page can be used again")
                await self._keep_login()

    async def _drain(self, chats: ChatServer) -> None:
        await self._me.draining.wait()
        chats.refuse_new()
        await chats.idle.wait()
        self._me.master.note(Drained())

    async def close(self) -> None:
        """Leave nothing: sockets, footing, scratch folder."""
        await self._tasks.close()
        if self._server is not None:
            self._server.close()
        if self._chats is not None:
            await self._chats.close()
        await self._keep_login()
        if self._views is not None:
            await self._views.close()
        await self._footing.close()
        with suppress(FileNotFoundError):
            os.unlink(self._settings.socket_path)  # noqa: PTH108 - as above
