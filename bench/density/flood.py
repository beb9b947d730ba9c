"""A site whose one answer is as long as asked for, and that counts what is taken of it.

`answer 100000000` brings so many bytes as fast as they are taken, `answer 100000000 at 2000000` no
more than so many a second. Its page forgets what it has read, and clears up (`--expose-gc`):
what a page keeps, or does not clear away yet, is its own.
"""

import asyncio
import contextlib
import re
import time

import uvloop
from aiohttp import web

from bench.peers.serving import serve

PAGE = """<!doctype html><title>flood</title>
<form><textarea aria-label="Message"></textarea><button id="send">Send</button></form>
<button id="stop" hidden>Stop</button>
<script>
const form = document.querySelector("form");
const box = document.querySelector("textarea");
const stop = document.querySelector("#stop");
form.onsubmit = async (event) => {
  event.preventDefault();
  const leaving = new AbortController();
  stop.hidden = false;
  stop.onclick = () => leaving.abort();
  const asked = { method: "POST", body: box.value, signal: leaving.signal };
  box.value = "";
  try {
    const response = await fetch("/answer", asked);
    const reader = response.body.getReader();
    for (let left = 0; ;) {
      const { done, value } = await reader.read();
      if (done) break;
      left -= value.length;
      if (left > 0) continue;
      left = 500_000;
      gc();
    }
  } finally {
    stop.hidden = true;
  }
};
</script>"""
PROFILE = """about: the flood
landmarks: {prompt: textarea, send: '#send', stop: '#stop'}
stream: {url_pattern: /answer$, grammar: sse, answer: {text: t, finish: end}}
"""
PIECE = b'data: {"t":"' + b"twelve words " * 300 + b'"}\n\n'
END = b'data: {"end":"stop"}\n\n'


class Flood:
    """Answers, and counts what it could write."""

    def __init__(self) -> None:
        """Nothing is written."""
        self._written_bytes = 0

    async def page(self, request: web.Request) -> web.Response:
        """GET /."""
        del request
        return web.Response(text=PAGE, content_type="text/html")

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """POST /answer."""
        found = [int(each) for each in re.findall(r"\d+", await request.text())]
        wanted_bytes = found[0] if found else len(PIECE)
        pause_s = len(PIECE) / found[1] if len(found) > 1 else 0.0
        self._written_bytes = 0
        due_s = time.monotonic()
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):  # the page is told to stop in the end
            while self._written_bytes < wanted_bytes:
                await response.write(PIECE)
                self._written_bytes += len(PIECE)
                due_s += pause_s
                await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            await response.write(END)
        return response

    async def written(self, request: web.Request) -> web.Response:
        """GET /written: bytes of the answer that the network has taken."""
        del request
        return web.json_response(self._written_bytes)


def main() -> None:
    """Serve until the process is ended."""
    flood = Flood()
    routes = [web.get("/", flood.page), web.post("/answer", flood.answer)]
    uvloop.run(serve(*routes, web.get("/written", flood.written)))


if __name__ == "__main__":
    main()
