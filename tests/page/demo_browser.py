"""Playwright's Chromium on a running demo arena, as fixtures: import them by name."""

import asyncio
import os
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import Future

import pytest
from aiohttp import web
from playwright.sync_api import Browser, sync_playwright

from arenad.demo.site import make_runner
from arenad.schema.config import DemoConfig
from arenad.schema.process import DemoSettings


async def _serve(address: "Future[str]", over: threading.Event) -> None:
    runner = make_runner(DemoSettings(demo=DemoConfig(chunks_per_s=500.0), upstream_key=""))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    address.set_result(f"http://127.0.0.1:{runner.addresses[0][1]}")
    await asyncio.to_thread(over.wait)
    await runner.cleanup()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The base address of a running arena."""
    told: Future[str] = Future()
    over = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(_serve(told, over)))
    thread.start()
    yield told.result(timeout=10)
    over.set()
    thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real Chromium; its absence is a failure of the setup, not a reason to skip."""
    path = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    assert path is not None, "no Chromium here: run the setup script"
    with sync_playwright() as playwright:
        sandbox = os.geteuid() != 0
        browser = playwright.chromium.launch(executable_path=path, chromium_sandbox=sandbox)
        yield browser
        browser.close()
