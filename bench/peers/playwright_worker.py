"""One plain Playwright worker without a supervisor: pages that push what they read, and SSE.

    python -m bench.peers.playwright_worker --site http://127.0.0.1:5105 --pages 1

Each page is driven as a person would, and its `fetch` is wrapped by a script that pushes each piece
of the answer through `expose_binding`, as most tools do. `GET /bindings` tells how late each chunk
was in the binding's handler, before any HTTP, since it was last asked.
"""

import argparse
import asyncio
import time
from typing import Any

import uvloop
from aiohttp import web
from playwright.async_api import Page

from bench.density.clocks import MODEL, STAMP
from bench.peers.serving import browser, said, serve, stream

HOOK = """(() => {
  const fetched = window.fetch;
  window.fetch = async (...wanted) => {
    const response = await fetched(...wanted);
    if (/evaluation|answer/.test(String(wanted[0]))) {
      const reader = response.clone().body.pipeThrough(new TextDecoderStream()).getReader();
      (async () => {
        for (;;) {
          const { done, value } = await reader.read();
          window.peerPush(done ? null : value);
          if (done) return;
        }
      })();
    }
    return response;
  };
})();"""


class Worker:
    """Pages, each performing one chat at a time."""

    def __init__(self) -> None:
        """No page is open."""
        self._free: asyncio.Queue[Page] = asyncio.Queue()
        self._pieces: dict[Page, asyncio.Queue[str | None]] = {}
        self._late_ms: list[float] = []

    async def add(self, page: Page, site: str) -> None:
        """Open the site in a page of its own context."""
        self._pieces[page] = asyncio.Queue()
        await page.expose_binding("peerPush", self._pushed)
        await page.add_init_script(HOOK)
        await page.goto(site)
        await page.click("#agree")  # the terms, as a person would
        self._free.put_nowait(page)

    def _pushed(self, source: dict[str, Any], piece: str | None) -> None:
        now_ns = time.monotonic_ns()
        stamps = STAMP.findall((piece or "").encode())
        self._late_ms += [(now_ns - int(stamp)) / 1e6 for stamp in stamps]
        self._pieces[source["page"]].put_nowait(piece)

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/chat/completions."""
        wish = await request.json()
        page = await self._free.get()
        try:
            self._pieces[page] = pieces = asyncio.Queue()
            await page.click(".new-chat")
            await page.click(".picked")
            await page.click(f'[role=option][data-model="{MODEL}"]')
            await page.fill("textarea", said(wish))
            await page.click('[aria-label="Send message"]')
            return await stream(request, pieces)
        finally:
            await page.wait_for_selector("#stop", state="hidden")
            self._free.put_nowait(page)

    async def bindings(self, request: web.Request) -> web.Response:
        """GET /bindings."""
        del request
        told, self._late_ms = self._late_ms, []
        return web.json_response(told)


async def live(site: str, pages: int) -> None:
    """Open the pages, then serve until the process is ended."""
    worker = Worker()
    async with browser() as launched:
        for _ in range(pages):
            context = await launched.new_context()
            await worker.add(await context.new_page(), site)
        routes = [web.post("/v1/chat/completions", worker.chat)]
        await serve(*routes, web.get("/bindings", worker.bindings))


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--site", required=True)
    parser.add_argument("--pages", type=int, default=1)
    wish = parser.parse_args()
    uvloop.run(live(wish.site, wish.pages))


if __name__ == "__main__":
    main()
