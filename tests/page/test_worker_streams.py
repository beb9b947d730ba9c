"""Every way of an answer into a page, read in a real Chromium from the demo arena's other pages."""

import asyncio
import json
from pathlib import Path

import pytest
from aiohttp import web
from other_pages import NETWORK, STREAMS, answer, rules
from real_browser import browser_in, in_page, page_in, serving, serving_demo, tell

from arenad.demo import models
from arenad.schema.chat import Finish, TextDelta
from arenad.worker.listen import listen
from arenad.worker.page import Page
from arenad.worker.sites.reading import Reading

AWKWARD = """# Überschrift 競技場

Some **bold**, *soft*, `code` and ~~gone~~ — 👩‍💻 🏳️‍🌈 שלום עולם مرحبا 1 < 2 & "so".

```python
def f(x):
    return f"`{x}`"  # שלום

print("😀\\\\n")
```

| name | text |
| --- | --- |
| α | b\\|c |

- one
- two
  - deep 🚀

1. first
2. second

> quoted **twice**

[a link](https://example.org/x?y=1&z=(2)) end"""


@pytest.mark.parametrize("name", NETWORK)
def test_network_answers_come_back_to_the_letter(tmp_path: Path, name: str) -> None:
    """Awkward text in tiny pieces, at once, and 200 kB: each byte for byte, and whole."""

    async def story() -> None:
        async with serving_demo() as address, browser_in(tmp_path) as browser:
            page = await Page.create(browser.devtools)
            await page.open(f"{address}/other/{name}")
            stream = rules(STREAMS[name])
            for prompt, model, wanted in (
                (AWKWARD, "demo-echo", AWKWARD),
                (AWKWARD, "demo-echo-instant", AWKWARD),
                ("200000 3", "demo-long", models.long_text(200_000, 3)),
            ):
                read = await answer(page, stream, prompt, model)
                assert read.text == wanted
                assert read.outcome == Finish("stop")

    tell(story())


def test_an_event_source_is_a_request_too(tmp_path: Path) -> None:
    """Its body can be read as any other, with what no EventSource would tell, such as comments."""
    stream = rules(STREAMS["eventsource"].replace("transport: eventsource", "method: GET"))
    assert stream.transport == "fetch"

    async def story() -> None:
        async with serving_demo() as address, browser_in(tmp_path) as browser:
            page = await Page.create(browser.devtools)
            await page.open(f"{address}/other/eventsource")
            for model in ("demo-echo", "demo-echo-instant"):
                read = await answer(page, stream, AWKWARD, model)
                assert (read.text, read.outcome) == (AWKWARD, Finish("stop"))

    tell(story())


MARKDOWN_BLOCKS = [
    block
    for block in models.long_text(600_000, 3).split("\n\n")[:-1]
    if "&" not in block and not block.startswith(("- ", "1. ", "<div"))
]
"""Markdown that can be told from its HTML again: no entities, no list right behind another one."""

LONG_MARKDOWN = "\n\n".join(MARKDOWN_BLOCKS)


@pytest.mark.parametrize("name", ["dom", "shadow"])
def test_answers_are_read_in_the_page_itself(tmp_path: Path, name: str) -> None:
    """Where only rendered HTML is to be had, under a policy with trusted types, and in shadow roots.

    Markdown of the forms in docs/profiles.md comes back to the letter, while it grows.
    """
    assert len(LONG_MARKDOWN.encode()) > 200_000

    async def story() -> None:
        async with serving_demo() as address, browser_in(tmp_path) as browser:
            page = await Page.create(browser.devtools)
            await page.open(f"{address}/other/{name}")
            stream = rules(STREAMS[name])
            for prompt, model in (
                (AWKWARD, "demo-echo"),
                (AWKWARD, "demo-echo-instant"),
                (LONG_MARKDOWN, "demo-echo-instant"),
            ):
                read = await answer(page, stream, prompt, model)
                assert read.text == prompt
                assert read.outcome == Finish("stop")

    tell(story())


@pytest.mark.parametrize("name", sorted(STREAMS))
def test_an_answer_is_read_while_it_is_written(tmp_path: Path, name: str) -> None:
    """The first words are there long before the last ones are written."""

    async def story() -> None:
        async with serving_demo(chunks_per_s=20.0) as address, browser_in(tmp_path) as browser:
            page = await Page.create(browser.devtools)
            await page.open(f"{address}/other/{name}")
            prompt = " ".join(["word"] * 40)
            read = await answer(page, rules(STREAMS[name]), prompt, "demo-echo")
            assert read.text == prompt
            assert read.batches > 5

    tell(story())


# -- requests that are not made by the page's own script ------------------------------------------------

WORKERS = {
    "worker": "new Worker('/made.js')",
    "shared worker": "new SharedWorker('/made.js')",
    "service worker": (
        "navigator.serviceWorker.register('/made.js').then(() => navigator.serviceWorker.ready)"
        ".then((each) => each.active.postMessage(1))"
    ),
    "frame of another site": (
        "const frame = document.createElement('iframe');"
        "frame.src = location.origin.replace('127.0.0.1', 'localhost') + '/frame';"
        "document.body.append(frame)"
    ),
    "worker of that frame": (
        "const frame = document.createElement('iframe');"
        "frame.src = location.origin.replace('127.0.0.1', 'localhost') + '/deep';"
        "document.body.append(frame)"
    ),
}
SCRIPT = """
const ask = () => fetch("/answer", {method: "POST"}).then((response) => response.text());
if (self.registration) self.addEventListener("message", (event) => event.waitUntil(ask()));
else ask();
"""


@pytest.mark.parametrize("where", WORKERS)
def test_requests_of_frames_and_workers_are_read(tmp_path: Path, where: str) -> None:
    """Its first request is not missed, however soon it is made; the page itself lives on."""

    async def made(request: web.Request) -> web.Response:
        pages = {
            "/": "<p>main",
            "/frame": f"<script>{SCRIPT}</script>",
            "/deep": "<script>new Worker('/made.js')</script>",
        }
        if request.path == "/made.js":
            return web.Response(text=SCRIPT, content_type="text/javascript")
        return web.Response(text=pages[request.path], content_type="text/html")

    async def written(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for word in ("é ", "競技 ", "👩‍💻"):
            await response.write(word.encode())
        return response

    async def story() -> None:
        paths = ("/", "/frame", "/deep", "/made.js")
        routes = [*(web.get(path, made) for path in paths), web.post("/answer", written)]
        async with serving(*routes) as address, page_in(tmp_path) as page:
            await page.open(address)
            stream = rules("{url_pattern: /answer$, grammar: text}")
            reading, source = Reading(stream), await listen(page, stream)
            await in_page(page, WORKERS[where])
            await source.sent()
            events = [event async for batch in reading.events(source) for event in batch]
            assert "".join(str(each.text) for each in events) == "é 競技 👩‍💻"
            assert reading.end() == ([], Finish("stop"))
            await page.open(address)
            assert not page.crashed.is_set()

    tell(story())


# -- connections that were there before -------------------------------------------------------------------

OPEN_BEFORE = """<!doctype html><p id=state><script>
const said = (source) => new Promise((resolve) => { source.onmessage = resolve; });
window.talk = new WebSocket(location.origin.replace("http", "ws") + "/talk");
window.news = new EventSource("/news");
news.addEventListener("token", () => news.onmessage());
Promise.all([said(talk), said(news)]).then(() => { document.getElementById("state").id = "open"; });
</script>"""


async def _other_talk(request: web.Request) -> web.WebSocketResponse:
    """Says things of its own before, between and after the pieces of what it is asked for."""
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    await socket.send_str('{"id":"old","text":"before"}')
    async for message in socket:
        asked = json.loads(message.data)["ask"]
        await socket.send_str('{"id":"other","text":"no"}')
        for piece in ("é ", "競技"):
            await socket.send_str(json.dumps({"id": asked, "text": piece}))
            await socket.send_str('{"id":"other","end":true}')
            await socket.send_bytes(b"\x08\x96\x01")
        await socket.send_str(json.dumps({"id": asked, "end": True}))
        await socket.send_str(json.dumps({"id": "other", "text": "after"}))
    return socket


def test_an_open_socket_with_other_talk(tmp_path: Path) -> None:
    """The answer's frames are told by the id that the page itself chose; the socket stays open."""
    stream = rules("""
        transport: websocket
        url_pattern: /talk$
        grammar: json-frames
        answer: {text: text, finish: end}
        same: [id, ask]
    """)

    async def story() -> None:
        routes = (
            web.get("/", _open_before),
            web.get("/talk", _other_talk),
            web.get("/news", _news),
        )
        async with serving(*routes) as address, page_in(tmp_path) as page:
            await page.open(address)
            await page.wait_for("open", "#open", 10)
            for name in ("one", "two"):
                reading, source = Reading(stream), await listen(page, stream)
                await in_page(page, f"talk.send(JSON.stringify({{ask: '{name}'}}))")
                await source.sent()
                events = [event async for batch in reading.events(source) for event in batch]
                assert events == [TextDelta("é "), TextDelta("競技")] or events == [
                    TextDelta("é 競技")
                ]
                assert reading.end() == ([], Finish("stop"))

    tell(story())


def test_an_open_stream_of_events(tmp_path: Path) -> None:
    """The prompt is posted, the answer comes by a stream that goes on."""
    stream = rules("""
        transport: eventsource
        url_pattern: /news$
        grammar: sse
        answer: {text: $value when $event=token, finish: $value when $event=done}
    """)

    async def story() -> None:
        routes = [
            web.get("/", _open_before),
            web.get("/talk", _other_talk),
            web.get("/news", _news),
        ]
        async with serving(*routes, web.post("/ask", _ask)) as address, page_in(tmp_path) as page:
            await page.open(address)
            await page.wait_for("open", "#open", 10)
            for _ in range(2):
                reading, source = Reading(stream), await listen(page, stream)
                await page.evaluate("fetch('/ask', {method: 'POST'}); 0")
                await source.sent()
                events = [event async for batch in reading.events(source) for event in batch]
                assert "".join(str(each.text) for each in events) == "é\n競技"
                assert reading.end() == ([], Finish("stop"))

    tell(story())


async def _open_before(request: web.Request) -> web.Response:
    del request
    NEWS.clear()
    return web.Response(text=OPEN_BEFORE, content_type="text/html")


NEWS: list[web.StreamResponse] = []


async def _news(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await response.write(b'event: token\ndata: "before"\n\n')
    NEWS.append(response)
    await asyncio.Event().wait()
    return response


async def _ask(request: web.Request) -> web.Response:
    del request
    for response in NEWS:
        for name, value in (("token", "é\n"), ("other", "no"), ("token", "競技"), ("done", "stop")):
            await response.write(f"event: {name}\ndata: {json.dumps(value)}\n\n".encode())
    return web.Response()


def test_long_polling_is_followed(tmp_path: Path) -> None:
    """One request after another brings the answer, until its finish sign."""
    stream = rules("""
        url_pattern: /poll
        method: GET
        grammar: json-lines
        follow: true
        answer: {text: text, finish: end}
    """)
    answers = iter([{"text": "a"}, {}, {"text": "b"}, {"end": 1}])

    async def poll(request: web.Request) -> web.Response:
        del request
        return web.json_response(text=json.dumps(next(answers)) + "\n")

    async def story() -> None:
        page_html = web.Response(text="<p>x", content_type="text/html")

        async def start(request: web.Request) -> web.Response:
            del request
            return page_html

        routes = (web.get("/", start), web.get("/poll", poll))
        async with serving(*routes) as address, page_in(tmp_path) as page:
            await page.open(address)
            reading, source = Reading(stream), await listen(page, stream)
            await page.evaluate(
                "(async () => { for (let n = 0; n < 4; n++) await (await fetch('/poll')).text() })(); 0"
            )
            await source.sent()
            events = [event async for batch in reading.events(source) for event in batch]
            said = [each for each in events if isinstance(each, TextDelta)]
            assert "".join(each.text for each in said) == "ab"
            assert reading.end()[1] == Finish("stop")

    tell(story())


# -- signs of the end in the page -----------------------------------------------------------------------
