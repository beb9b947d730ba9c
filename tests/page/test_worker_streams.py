"""Every way of an answer into a page, read in a real Chromium from the demo arena's other pages."""

import asyncio
import json
from pathlib import Path
from urllib.parse import quote

import pytest
from aiohttp import web
from other_pages import NETWORK, STREAMS, answer, rules
from real_browser import browser_in, page_in, serving, serving_demo, tell

from arenad.demo import models
from arenad.errors import UpstreamFailed
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
            await _in_page(page, WORKERS[where])
            await source.sent()
            events = [event async for batch in reading.events(source) for event in batch]
            assert "".join(str(each.text) for each in events) == "é 競技 👩‍💻"
            assert reading.end() == ([], Finish("stop"))
            await page.open(address)
            assert not page.crashed.is_set()

    tell(story())


# -- connections that were there before -------------------------------------------------------------------

OPEN_BEFORE = """<!doctype html><p id=state><script>
const state = document.getElementById("state");
window.talk = new WebSocket(location.origin.replace("http", "ws") + "/talk");
talk.onopen = () => (state.id = "open");
window.news = new EventSource("/news");
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
                await _in_page(page, f"talk.send(JSON.stringify({{ask: '{name}'}}))")
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


async def _in_page(page: Page, script: str) -> None:
    """Run a script in the page's own world, as the site's own would."""
    await page.evaluate(
        "{ const made = document.createElement('script');"
        f" made.textContent = {json.dumps(script)}; document.body.append(made); }}; 0"
    )


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

DRAWN = """<!doctype html><meta http-equiv=content-security-policy content="default-src 'none'">
<button id=stop hidden>stop</button><div id=answers><div class=answer><p>older</div></div>"""

DRAW = """(async () => {
    const wait = () => new Promise((resolve) => setTimeout(resolve, 60));
    const answer = document.createElement("div");
    answer.className = "answer";
    STOP.hidden = !SHOWS_STOP;
    await wait();
    document.querySelector("#answers").append(answer);
    for (const word of ["one ", "two ", "three"]) {
        await wait();
        const part = document.createElement("b");
        part.textContent = word;
        answer.append(part);
    }
    REWRITE
    await wait();
    document.querySelector("#stop").hidden = true;
    MARK
})(); 0"""


@pytest.mark.parametrize(
    ("dom", "shows_stop", "mark", "text"),
    [
        ("element: .answer", True, "", "**one** **two** **three**"),
        ("element: .answer, settle_s: 0.4", False, "", "**one** **two** **three**"),
        (
            "element: .answer, end: .end",
            False,
            "answer.append(Object.assign(document.createElement('i'), {className: 'end'}))",
            "**one** **two** **three**",
        ),
        (
            "element: .answer, skip: [.end]",
            True,
            "answer.append('!')",
            "**one** **two** **three**!",
        ),
    ],
    ids=["stop gone", "nothing changes", "end shown", "drawn after the sign"],
)
def test_signs_of_the_end(tmp_path: Path, dom: str, shows_stop: bool, mark: str, text: str) -> None:
    """The stop button that goes, a landmark that comes, and only without both that nothing changes."""

    async def story() -> None:
        async with page_in(tmp_path) as page:
            await page.open("data:text/html," + quote(DRAWN))
            stream = rules(f"{{transport: dom, dom: {{{dom}}}}}")
            reading, source = (
                Reading(stream),
                await listen(page, stream, "#stop" if shows_stop else ()),
            )
            await page.evaluate(_drawing(shows_stop=shows_stop, mark=mark))
            await source.sent()
            events = [event async for batch in reading.events(source) for event in batch]
            last, outcome = reading.end()
            assert "".join(str(each.text) for each in events + last) == text
            assert outcome == Finish("stop")
            assert source.is_over
            await source.over()

    tell(story())


def _drawing(*, shows_stop: bool, mark: str = "", rewrite: str = "") -> str:
    script = DRAW.replace("SHOWS_STOP", str(shows_stop).lower()).replace("MARK", mark)
    return script.replace("STOP", "document.querySelector('#stop')").replace("REWRITE", rewrite)


def test_a_page_that_rewrites_its_answer_is_told(tmp_path: Path) -> None:
    """What was passed on cannot be taken back, and is not called whole."""

    async def story() -> None:
        async with page_in(tmp_path) as page:
            await page.open("data:text/html," + quote(DRAWN))
            stream = rules("{transport: dom, dom: {element: .answer}}")
            reading, source = Reading(stream), await listen(page, stream, "#stop")
            await page.evaluate(
                _drawing(
                    shows_stop=True, rewrite="await wait(); answer.firstChild.textContent = 'ONE '"
                )
            )
            events = [event async for batch in reading.events(source) for event in batch]
            assert events
            _, outcome = reading.end()
            assert isinstance(outcome, UpstreamFailed)
            assert "rewrote its answer" in outcome.message

    tell(story())


def test_an_abandoned_answer_is_still_watched(tmp_path: Path) -> None:
    """Who gave it up waits for the stop button to go, or for the page's sign."""

    async def story() -> None:
        async with page_in(tmp_path) as page:
            await page.open("data:text/html," + quote(DRAWN))
            assert await page.is_gone("#stop", 0.1)
            stream = rules("{transport: dom, dom: {element: .answer}}")
            source = await listen(page, stream, "#stop")
            await page.evaluate(_drawing(shows_stop=True))
            await source.sent()
            assert not await page.is_gone("#stop", 0.0)
            source.abandon()
            await source.over()
            assert await source.read() == []
            assert await page.is_gone("#stop", 1.0)

    tell(story())
