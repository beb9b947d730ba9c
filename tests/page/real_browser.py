"""A real Chromium and a real demo arena for stories about the worker's own code."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
import uvloop
from aiohttp import web
from msgspec.structs import replace

from arenad import profiles
from arenad.demo.site import make_runner
from arenad.schema.config import BrowserConfig, DemoConfig
from arenad.schema.engine import DRIVEN, Engine
from arenad.schema.process import DemoSettings
from arenad.schema.profile import Profile
from arenad.worker import engines
from arenad.worker.browser import Browser, launch
from arenad.worker.browser_process import BrowserProcess
from arenad.worker.page import Page
from arenad.worker.page_port import PagePort
from arenad.worker.sites.page_driven import PageSite

ENOUGH_S = 60.0
CONFIG = BrowserConfig(allow_no_sandbox=os.getuid() == 0)


def tell(story: Coroutine[Any, Any, None]) -> None:
    """Run a story to its end in the worker's own kind of loop, with a deadline for the whole."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(story, ENOUGH_S))


async def until(condition: Callable[[], bool]) -> None:
    """Until something inside is so; the story's own deadline ends a wait in vain."""
    while True:
        if condition():
            return
        await asyncio.sleep(0)


@asynccontextmanager
async def browser_in(folder: Path) -> AsyncIterator[Browser]:
    """A browser that is closed in the end, and has then left nothing."""
    browser = await launch(CONFIG, folder / "scratch", "test")
    try:
        yield browser
    finally:
        await browser.close()
        assert not (folder / "scratch").exists()


on_each_engine = pytest.mark.parametrize("engine", DRIVEN)


@asynccontextmanager
async def engine_in(folder: Path, engine: Engine) -> AsyncIterator[BrowserProcess]:
    """A browser of this engine, that is closed in the end, and has then left nothing."""
    browser = await engines.launch(replace(CONFIG, engine=engine), folder / "scratch", "test")
    try:
        yield browser
    finally:
        tree: list[psutil.Process] = []
        with suppress(psutil.NoSuchProcess):
            tree = psutil.Process(browser.pid).children(recursive=True)
        await browser.close()
        assert not (folder / "scratch").exists()
        _, alive = await asyncio.to_thread(psutil.wait_procs, tree, 10)
        assert not alive


@asynccontextmanager
async def page_of(folder: Path, engine: Engine) -> AsyncIterator[PagePort]:
    """A blank page in a browser of its own, of this engine."""
    async with engine_in(folder, engine) as browser:
        yield await browser.page()


@asynccontextmanager
async def page_in(folder: Path) -> AsyncIterator[Page]:
    """A blank page in a browser of its own."""
    async with browser_in(folder) as browser:
        yield await Page.create(browser.devtools)


@asynccontextmanager
async def serving(*routes: web.RouteDef) -> AsyncIterator[str]:
    """A site with these routes; its base address."""
    app = web.Application()
    app.add_routes(routes)
    async with _listening(web.AppRunner(app, shutdown_timeout=0.1)) as address:
        yield address


@asynccontextmanager
async def _listening(runner: web.AppRunner) -> AsyncIterator[str]:
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def in_page(page: Page, script: str) -> None:
    """Run a script in the page's own world, as the site's own would."""
    await page.evaluate(
        "{ const made = document.createElement('script');"
        f" made.textContent = {json.dumps(script)}; document.body.append(made); }}; 0"
    )


class Arena:
    """The demo arena with one driven page on it."""

    def __init__(self, address: str, browser: Browser, page: Page) -> None:
        self.address = address
        self.browser = browser
        self.page = page
        self.site = PageSite(page, demo_profile(), address)

    async def stats(self) -> dict[str, int]:
        async with aiohttp.request("GET", f"{self.address}/demo/stats") as response:
            return await response.json()

    async def stats_become(self, **wanted: int) -> None:
        """Until the site counts so; the story's own deadline ends a wait in vain."""
        while True:
            if wanted.items() <= (await self.stats()).items():
                return


def demo_profile() -> Profile:
    """The profile that arenad brings along."""
    return profiles.load("demo")


@asynccontextmanager
async def serving_demo(chunks_per_s: float = 1000.0) -> AsyncIterator[str]:
    """A demo arena; its base address."""
    settings = DemoSettings(demo=DemoConfig(chunks_per_s=chunks_per_s), upstream_key="")
    async with _listening(make_runner(settings)) as address:
        yield address


@asynccontextmanager
async def arena_in(folder: Path, chunks_per_s: float = 1000.0) -> AsyncIterator[Arena]:
    """A demo arena, opened in a page of its own browser."""
    async with serving_demo(chunks_per_s) as address, browser_in(folder) as browser:
        arena = Arena(address, browser, await Page.create(browser.devtools))
        await arena.site.open()
        yield arena


def processes(browser: Browser, kind: str) -> list[psutil.Process]:
    """The browser's processes of one kind (`renderer`, `zygote`…)."""
    return processes_of(psutil.Process(browser.pid), kind)


def processes_of(browser: psutil.Process, kind: str) -> list[psutil.Process]:
    """The same, by the browser's own process."""
    found: list[psutil.Process] = []
    for process in browser.children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # some live for a moment only
            if f"--type={kind}" in process.cmdline():
                found.append(process)
    return found


def hang(process: psutil.Process) -> None:
    """Stop a process (SIGSTOP), and see that it has stopped: the signal takes its time."""
    process.suspend()
    deadline_s = time.monotonic() + 10
    while process.status() != psutil.STATUS_STOPPED:
        assert time.monotonic() < deadline_s, f"{process} runs on"
