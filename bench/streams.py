"""How soon what a page receives is an event of ours, and what that costs, for each transport.

    PYTHONPATH=tests/page .venv/bin/python -m bench.streams --chunks 1000 --rate 200

A site in a process of its own writes its clock into every chunk (the clocks of one machine agree);
a row is the time from there to the worker's event, through the browser and our grammar. Processor
time is of this process (the worker's part) and of all the browser's processes, for 1000 chunks.
For `dom` the same chunks are drawn as text that grows, and read in the page.
"""

import argparse
import asyncio
import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import psutil
import uvloop
from aiohttp import web
from real_browser import browser_in

from arenad.schema.chat import Finish, TextDelta
from arenad.schema.profile import StreamRules
from arenad.worker.browser import Browser
from arenad.worker.listen import listen
from arenad.worker.page import Page
from arenad.worker.sites.reading import Reading

ANSWER = {"text": "t", "finish": "end"}
STREAMS = {
    "fetch": {"url_pattern": "/lines", "grammar": "json-lines", "answer": ANSWER},
    "eventsource": {
        "transport": "eventsource",
        "url_pattern": "/events",
        "grammar": "sse",
        "answer": ANSWER,
    },
    "websocket": {
        "transport": "websocket",
        "url_pattern": "/frames",
        "grammar": "json-frames",
        "answer": ANSWER,
    },
    "dom": {"transport": "dom", "dom": {"element": "#answer", "end": "#end"}},
}
READ = """const read = async (show) => {
    const response = await fetch("/lines", {method: "POST"});
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let rest = "";;) {
        const {value, done} = await reader.read();
        if (done) return;
        const lines = (rest + value).split("\\n");
        rest = lines.pop();
        for (const line of lines) show(JSON.parse(line));
    }
};"""
ASK = {
    "fetch": f"{READ} read(() => {{}})",
    "eventsource": "const source = new EventSource('/events');"
    "source.onmessage = (event) => { if (JSON.parse(event.data).end) source.close() }",
    "websocket": "const socket = new WebSocket(location.origin.replace('http', 'ws') + '/frames');"
    "socket.onmessage = (event) => JSON.parse(event.data);"
    "socket.onopen = () => socket.send('ask')",
    "dom": f"""{READ} const shown = document.createElement("div");
    shown.id = "answer"; shown.style.whiteSpace = "pre-wrap"; document.body.append(shown);
    read(({{t}}) => shown.append(t ?? "")).then(() => (shown.after(Object.assign(
        document.createElement("p"), {{id: "end"}}))))""",
}


# -- the site, in a process of its own ------------------------------------------------------------


async def _values(request: web.Request) -> AsyncIterator[bytes]:
    """Chunks at the asked pace, each with the clock in it."""
    pause_s = 1 / request.app[RATE]
    next_s = time.monotonic()
    for _ in range(request.app[CHUNKS]):
        next_s += pause_s
        await asyncio.sleep(max(0.0, next_s - time.monotonic()))
        yield msgspec.json.encode({"t": f"{time.monotonic_ns()} "})
    yield b'{"end":"stop"}'


async def _lines(request: web.Request) -> web.StreamResponse:
    return await _written(request, "application/x-ndjson", b"%s\n")


async def _events(request: web.Request) -> web.StreamResponse:
    return await _written(request, "text/event-stream", b"data: %s\n\n")


async def _written(request: web.Request, kind: str, form: bytes) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": kind})
    await response.prepare(request)
    async for value in _values(request):
        await response.write(form % value)
    return response


async def _frames(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for _ in socket:
        async for value in _values(request):
            await socket.send_str(value.decode())
    return socket


async def _blank(request: web.Request) -> web.Response:
    del request
    return web.Response(text="<!doctype html><p>bench", content_type="text/html")


RATE, CHUNKS = web.AppKey("rate", float), web.AppKey("chunks", int)


async def serve(chunks: int, rate: float) -> None:
    """The site, until its process is ended; its address is its first line."""
    app = web.Application()
    app[RATE], app[CHUNKS] = rate, chunks
    routes = [web.get("/", _blank), web.post("/lines", _lines)]
    app.add_routes([*routes, web.get("/events", _events), web.get("/frames", _frames)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


# -- the worker's part ----------------------------------------------------------------------------


def _cpu_s(browser: Browser) -> float:
    """What the browser's processes have used so far."""
    used_s = 0.0
    root = psutil.Process(browser.pid)
    for process in (root, *root.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            used_s += times.user + times.system
    return used_s


async def measure(browser: Browser, page: Page, address: str, name: str) -> list[str]:
    """One row of the table."""
    await page.open(address)
    rules = msgspec.convert(STREAMS[name], StreamRules)
    reading, source = Reading(rules), await listen(page, rules)
    before_s, browser_s = time.process_time(), _cpu_s(browser)
    await page.evaluate(f"{{ {ASK[name]} }}; 0")
    late_ms: list[float] = []
    async for events in reading.events(source):
        _note(events, late_ms)
    events, outcome = reading.end()
    _note(events, late_ms)
    assert outcome == Finish("stop"), outcome
    own_s, browser_s = time.process_time() - before_s, _cpu_s(browser) - browser_s
    shares = statistics.quantiles(late_ms, n=100)
    per_1000 = 1_000_000 / len(late_ms)
    numbers = [shares[49], shares[94], shares[98], own_s * per_1000, browser_s * per_1000]
    return [name, str(len(late_ms)), *(f"{number:.1f}" for number in numbers)]


def _note(events: list[object], late_ms: list[float]) -> None:
    now_ns = time.monotonic_ns()
    for event in events:
        if isinstance(event, TextDelta):
            # A number may be cut where a read ends; those few are left out.
            stamps = [int(stamp) for stamp in event.text.split() if len(stamp) >= len(str(now_ns))]
            late_ms += [(now_ns - stamp) / 1e6 for stamp in stamps]


async def bench(address: str, names: list[str]) -> None:
    """Measure each transport in a fresh page of one browser, and print the table."""
    with tempfile.TemporaryDirectory() as folder:
        async with browser_in(Path(folder)) as browser:
            head = ["transport", "chunks", "p50 ms", "p95 ms", "p99 ms"]
            _print([*head, "CPU ms/1000", "browser's"])
            for name in names:
                page = await Page.create(browser.devtools)
                _print(await measure(browser, page, address, name))


@contextlib.contextmanager
def site(chunks: int, rate: float) -> Iterator[str]:
    """The site's process; its address."""
    command = [sys.executable, "-m", "bench.streams", "--serve"]
    command += ["--chunks", str(chunks), "--rate", str(rate)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()


def _print(row: list[str]) -> None:
    print("  ".join(f"{cell:>12}" for cell in row), flush=True)


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--chunks", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=200.0, help="chunks a second")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("transports", nargs="*", default=list(STREAMS))
    wish = parser.parse_args()
    if wish.serve:
        uvloop.run(serve(wish.chunks, wish.rate))
        return
    with site(wish.chunks, wish.rate) as address:
        uvloop.run(bench(address, wish.transports))


if __name__ == "__main__":
    main()
