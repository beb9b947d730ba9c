"""The worker from its first line to its last: browser, page, session, chats, beats, probes."""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from arenad import child
from arenad.errors import ArenadError, RequestError
from arenad.link import Tasks
from arenad.schema.process import (
    Beat,
    Drained,
    ForkOrder,
    Ready,
    SessionIs,
    Welcome,
    WorkerSettings,
)
from arenad.worker.browser import Browser, launch
from arenad.worker.devtools import DevToolsError
from arenad.worker.meter import Meter
from arenad.worker.page import Page
from arenad.worker.serve import ChatServer
from arenad.worker.session import Event, Order, Session, step
from arenad.worker.sites.page_driven import PageSite

BEAT_INTERVAL_S = 2.0
"""Busy and counters; memory is measured at the slower interval of the probes."""

logger = logging.getLogger("arenad.worker")


def main(order: ForkOrder, sockets: Sequence[socket.socket]) -> int:
    """Live as a worker; gives the exit code."""
    return child.live(order, sockets, run)


async def run(me: child.Child, welcome: Welcome) -> None:
    """Until told to stop, or the browser or its page is beyond repair."""
    if welcome.worker is None:
        raise ArenadError("the master sent a worker no worker's settings")
    worker = Worker(me, welcome.worker)
    try:
        await worker.start()
        await me.stopping.wait()
    except (ArenadError, TimeoutError) as error:
        worker.break_off(str(error) or type(error).__name__)
    finally:
        await worker.close()


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
        self._measured_s = time.monotonic()
        self._lag_ms = 0.0
        self._browser: Browser | None = None
        self._server: asyncio.Server | None = None
        self._chats: ChatServer | None = None

    async def start(self) -> None:
        """Launch, open, listen, say ready. Raises `ArenadError`, `TimeoutError`."""
        started_s = time.monotonic()
        settings = self._settings
        self._say("the browser starts")
        self._browser = browser = await launch(
            settings.browser, Path(settings.scratch_dir), self._me.name
        )
        self._page = await Page.create(browser.devtools)
        self._site = PageSite(self._page, settings.profile, settings.site_url)
        self._tasks.start(self._watch(browser.exited, "the browser ended"), "watch the browser")
        self._tasks.start(self._watch(browser.devtools.lost, "the browser hung up"), "watch its pipe")
        self._tasks.start(self._watch(self._page.crashed, "the page crashed"), "watch the page")
        await self._site.open()
        self._chats = chats = ChatServer(self._site, settings.slots, self._on_session)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(chats.link, settings.socket_path)
        Path(settings.socket_path).chmod(0o600)
        self._me.master.note(Ready(self._site.models))
        took_s = time.monotonic() - started_s
        await self._on_session(Event.OPENED, f"{browser.version}, open after {took_s:.1f} s")
        for work in (self._beat(), self._probe(), self._drain()):
            self._tasks.start(work, work.__name__)

    def _say(self, reason: str) -> None:
        self._me.master.note(SessionIs(self._session.condition, reason))

    # -- the session ------------------------------------------------------------------------------

    async def _on_session(self, event: Event, reason: str) -> None:
        """One step of the session; returns when the page can be used again, or never will."""
        before = self._session
        self._session, order = step(before, event)
        if self._session.condition != before.condition:
            self._say(reason)
        if order is Order.GIVE_UP:
            self.break_off(reason)
        elif order is Order.OPEN:
            try:
                await self._site.open()
            except (RequestError, DevToolsError, TimeoutError) as error:
                self.break_off(f"the page could not be opened again: {error}")
            else:
                await self._on_session(Event.OPENED, "opened anew")

    def break_off(self, reason: str) -> None:
        """Say why, and leave: a fresh process is the one way of repair."""
        if self._me.stopping.is_set():
            return
        self._session, _ = step(self._session, Event.BROKE)
        logger.error("broken: %s; leaving to be replaced", reason)
        self._say(reason)
        self._me.leave(child.EXIT_BROKEN)

    async def _watch(self, happened: asyncio.Event, reason: str) -> None:
        await happened.wait()
        if self._browser is not None and self._browser.exit_text:
            reason = f"{reason} ({self._browser.exit_text})"
        self.break_off(reason)

    # -- at intervals -----------------------------------------------------------------------------

    async def _beat(self) -> None:
        while self._chats is not None:
            reading, chats = self._reading, self._chats
            self._me.master.note(
                Beat(
                    busy=chats.busy,
                    answered=chats.answered,
                    failed=chats.failed,
                    memory_bytes=reading.memory_bytes,
                    processes=reading.processes,
                    cpu_percent=reading.cpu_percent,
                    loop_lag_ms=self._lag_ms,
                )
            )
            before_s = time.monotonic()
            await asyncio.sleep(BEAT_INTERVAL_S)
            self._lag_ms = 1000.0 * (time.monotonic() - before_s - BEAT_INTERVAL_S)

    async def _probe(self) -> None:
        """Measure, and ask the page for a sign of life. No chat is ever sent as a probe."""
        health = self._settings.health
        while True:
            now_s = time.monotonic()
            self._reading = self._meter.take(now_s - self._measured_s)
            self._measured_s = now_s
            try:
                await self._page.evaluate("1", health.timeout_s)
            except (DevToolsError, TimeoutError):
                self.break_off(f"the page gave no sign of life for {health.timeout_s:g} s")
                return
            await asyncio.sleep(health.interval_s)

    async def _drain(self) -> None:
        await self._me.draining.wait()
        if self._chats is not None:
            self._chats.refuse_new()
            await self._chats.idle.wait()
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
            os.unlink(self._settings.socket_path)  # noqa: PTH108 - plain and enough
