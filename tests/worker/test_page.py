"""What a page tells its browser, where a real one would do it without our seeing."""

import asyncio

import pytest
from scripted_browser import linked, tell

from arenad.worker.page import Page
from arenad.worker.page_port import BrowserError
from arenad.worker.traffic import Traffic


def test_a_stream_that_cannot_be_read_is_closed() -> None:
    """The browser keeps what an image has brought until it is told that nobody reads it."""

    async def story() -> None:
        async with linked() as (devtools, browser):
            page = Page(devtools, "s", "frame", Traffic(devtools, "s", "context"))
            loading = page.loaded("http://127.0.0.1/i", 1000, 5.0)

            async def replies() -> None:
                await browser.answer(
                    "Network.loadNetworkResource", result={"resource": {"stream": "7"}}
                )
                await browser.answer("IO.read", error={"message": "the disk is full"})
                closed = await browser.answer("IO.close", result={})
                assert closed["params"] == {"handle": "7"}

            async with asyncio.TaskGroup() as group:
                group.create_task(replies())
                with pytest.raises(BrowserError, match="the disk is full"):
                    await loading

    tell(story())
