"""Real servers on loopback, for the length of a `with`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import msgspec
from aiohttp import web

from arenad.demo.site import make_runner
from arenad.schema.config import DemoConfig
from arenad.schema.process import DemoSettings

DEADLINE_S = 30.0


@asynccontextmanager
async def listening(runner: web.AppRunner) -> AsyncIterator[str]:
    """Serve on a free port of loopback; the base address."""
    await runner.setup()
    try:
        place = web.TCPSite(runner, "127.0.0.1", 0)
        await place.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def arena(upstream_key: str = "", **demo: object) -> AsyncIterator[aiohttp.ClientSession]:
    """The demo arena, and a client session whose paths are its paths."""
    config = msgspec.convert({"chunks_per_s": 1000.0} | demo, DemoConfig)
    runner = make_runner(DemoSettings(demo=config, upstream_key=upstream_key))
    async with (
        listening(runner) as address,
        aiohttp.ClientSession(address, timeout=aiohttp.ClientTimeout(total=DEADLINE_S)) as client,
    ):
        yield client
