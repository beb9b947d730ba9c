"""The port to a page, and what is captured of its traffic, in a real Chromium."""

import asyncio
import signal
from pathlib import Path

import pytest
from aiohttp import web
from real_browser import browser_in, hang, page_in, processes, serving, tell

from arenad.errors import ProfileOutdated, UpstreamFailed
from arenad.worker.devtools import BrowserGone, DevToolsError, NoReply
from arenad.worker.page import Page

FORM = """data:text/html,<!doctype html><meta charset=utf-8>
<textarea id=box></textarea><div id=rich contenteditable>old</div>
<fieldset disabled><button id=off>off</button></fieldset>
<button id=on onclick="document.title='pressed'">on</button>"""

TEXT = 'a0:"é 競技場 👩‍💻"\n'
ASK = "fetch('/answer', {method: 'POST', body: '%s'}).then((r) => r.text()).catch(() => 0); 0"
ASK_READER = """fetch('/answer', {method: 'POST', body: '%s'}).then(async (response) => {
    const reader = response.body.getReader();
    while (!(await reader.read()).done);
}); 0"""


def test_landmarks_are_waited_for(tmp_path: Path) -> None:
    """What shows up later is found, by a mutation or by a style sheet; what never does is named."""

    async def story() -> None:
        async with page_in(tmp_path) as page:
            await page.open(FORM)
            assert await page.is_usable("#box")
            assert not await page.is_usable("#off")
            await page.evaluate("""setTimeout(() => {
                document.body.insertAdjacentHTML("beforeend", "<p id=late>late");
                document.body.insertAdjacentHTML("beforeend", "<p id=styled>styled");
                const sheet = new CSSStyleSheet();
                sheet.replaceSync("#styled { display: none }");
                document.adoptedStyleSheets = [sheet];
                setTimeout(() => sheet.replaceSync(""), 200);
            }, 200); 0""")
            await page.wait_for("late", "#late", 10)
            await page.wait_for("styled", "#styled", 10)
            with pytest.raises(ProfileOutdated, match=r"the landmark never \(#never\)"):
                await page.wait_for("never", "#never", 0.1)
            with pytest.raises(ProfileOutdated, match=r"the landmark off"):
                await page.press("off", "#off", 0.1)

    tell(story())


def test_a_covered_landmark_is_waited_for(tmp_path: Path) -> None:
    """A press goes to the element or nowhere: what lies on top must go first, or is named."""

    async def story() -> None:
        async with page_in(tmp_path) as page:
            await page.open(FORM)
            cover = "<aside style='position:fixed;inset:0;background:gray'>"
            await page.evaluate(f'document.body.insertAdjacentHTML("beforeend", "{cover}")')
            with pytest.raises(ProfileOutdated, match="covered by <aside>"):
                await page.press("on", "#on", 0.1)
            await page.evaluate("setTimeout(() => document.querySelector('aside').remove(), 200);0")
            await page.press("on", "#on", 10)
            assert await page.evaluate("document.title") == "pressed"

    tell(story())


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("#box", "tiny é 👍🏽"),
        ("#box", "two\r\nlines"),
        ("#box", "x" * 5000),
        ("#rich", "tiny é 👍🏽"),
        ("#rich", "x" * 5000),
    ],
    ids=lambda value: value[:5],
)
def test_writing_replaces_a_field(tmp_path: Path, field: str, text: str) -> None:
    """Typed or pasted, into a text area or an editable element: the new text and no other."""

    async def story() -> None:
        async with page_in(tmp_path) as page:
            await page.open(FORM)
            for _ in range(2):
                await page.write("field", field, text, 5)
            read = f"const e = document.querySelector('{field}'); e.value ?? e.innerText"
            assert await page.evaluate(f"{{ {read} }}") == text.replace("\r\n", "\n")

    tell(story())


def test_a_field_that_takes_a_part_is_told(tmp_path: Path) -> None:
    """No shortened prompt is ever sent in silence."""

    async def story() -> None:
        async with page_in(tmp_path) as page:
            await page.open("data:text/html,<textarea maxlength=3>")
            with pytest.raises(ProfileOutdated, match="took 3 of 5 characters"):
                await page.write("prompt", "textarea", "12345", 5)

    tell(story())


def test_the_sites_own_navigation_is_survived(tmp_path: Path) -> None:
    """When the site goes elsewhere by itself, the new document is asked."""

    async def page_of(request: web.Request) -> web.Response:
        text = f"<p id=at{request.path[1:]}>here"
        return web.Response(text=text, content_type="text/html")

    async def story() -> None:
        routes = (web.get("/one", page_of), web.get("/two", page_of))
        async with serving(*routes) as address, page_in(tmp_path) as page:
            await page.open(f"{address}/one")
            await page.wait_for("one", "#atone", 5)
            await page.evaluate("location.href = '/two'; 0")
            await page.wait_for("two", "#attwo", 5)
            await page.evaluate("setTimeout(() => { location.href = '/one' }, 200); 0")
            await page.wait_for("one", "#atone", 10)

    tell(story())


def test_the_page_does_not_see_us(tmp_path: Path) -> None:
    """What we bring along lives in a world of its own."""

    async def story() -> None:
        async with page_in(tmp_path) as page:
            script = "document.title = typeof arenad"
            await page.open(f"data:text/html,<button onclick='{script}'>look</button>")
            assert await page.evaluate("typeof arenad") == "object"
            await page.press("look", "button", 5)
            assert await page.evaluate("document.title") == "undefined"

    tell(story())


def test_dialogs_do_not_hold_the_page(tmp_path: Path) -> None:
    """An alert is sent away, a question is denied, and a page that wants to be kept is left."""

    async def story() -> None:
        async with page_in(tmp_path) as page:
            await page.open(
                "data:text/html,<button onclick=\"alert(1);document.title=confirm('sure?')\">"
                "ask</button><script>onbeforeunload = (e) => e.preventDefault()</script>"
            )
            await page.press("ask", "button", 5)
            assert await page.evaluate("document.title") == "false"
            await page.open(FORM)
            assert await page.is_usable("#box")

    tell(story())


async def _answers(page: Page) -> bool:
    try:
        await page.evaluate("1", 0.1)
    except NoReply:
        return False
    return True


def test_errors_of_the_page_are_told_apart(tmp_path: Path) -> None:
    """A script that throws, an address that does not open, a page that hangs, one that crashed."""

    async def story() -> None:
        async with browser_in(tmp_path) as browser:
            page = await Page.create(browser.devtools)
            with pytest.raises(DevToolsError, match="Error: broken"):
                await page.evaluate("throw new Error('broken')")
            with pytest.raises(DevToolsError, match="ERR_UNSAFE_PORT"):
                await page.open("http://127.0.0.1:1/")
            await page.open(FORM)
            while await _answers(page):  # a renderer of its own may just be taking over the page
                for renderer in processes(browser, "renderer"):
                    hang(renderer)
            waiting = asyncio.get_running_loop().create_task(page.evaluate("1"))
            await asyncio.sleep(0)  # let it ask
            for renderer in processes(browser, "renderer"):
                renderer.send_signal(signal.SIGKILL)
            with pytest.raises(BrowserGone, match="crashed"):
                await waiting
            assert page.crashed.is_set()
            with pytest.raises(BrowserGone, match="crashed"):
                await page.evaluate("1")

    tell(story())


@pytest.mark.parametrize("ask", [ASK, ASK_READER], ids=["text", "reader"])
@pytest.mark.parametrize("headers", [{}, {"Cache-Control": "no-store"}], ids=["", "no-store"])
@pytest.mark.parametrize("kind", ["text/event-stream", "text/plain", "application/json"])
def test_instant_answers_are_read_whole(
    tmp_path: Path, ask: str, headers: dict[str, str], kind: str
) -> None:
    """However quickly an answer is over, and whatever it says it is, every byte is read."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=await request.read(), headers={"Content-Type": kind} | headers)

    async def story() -> None:
        routes = (web.post("/answer", answer), web.get("/", _blank))
        async with serving(*routes) as address, page_in(tmp_path) as page:
            await page.open(address)
            for number in range(30):
                capture = page.capture("/answer$", "POST")
                await page.evaluate(ask % f"{number} é 👩‍💻")
                assert await capture.head() == 200
                body = b""
                while pieces := await capture.read():
                    body += b"".join(pieces)
                assert body.decode() == f"{number} é 👩‍💻"

    tell(story())


async def _blank(request: web.Request) -> web.Response:
    del request
    return web.Response(text="<p>blank", content_type="text/html")


def test_an_answer_is_read_while_it_comes(tmp_path: Path) -> None:
    """Each piece is there before the next one is even written; a cut at the end is seen."""

    async def story() -> None:
        written, read = asyncio.Event(), asyncio.Event()

        async def answer(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            for _ in range(3):
                await response.write(TEXT.encode())
                written.set()
                await read.wait()
                read.clear()
            request.transport.abort()
            return response

        routes = (web.post("/answer", answer), web.get("/", _blank))
        async with serving(*routes) as address, page_in(tmp_path) as page:
            await page.open(address)
            capture = page.capture("/answer", "POST")
            await page.evaluate(ASK_READER % "x")
            await capture.sent()
            for _ in range(3):
                await written.wait()
                written.clear()
                assert b"".join(await capture.read()).decode() == TEXT
                read.set()
            with pytest.raises(UpstreamFailed, match="was cut"):
                await capture.read()

    tell(story())


def test_heads_without_a_body(tmp_path: Path) -> None:
    """A status with nothing behind it, a redirect, and a connection that ends before any head."""

    async def empty(request: web.Request) -> web.Response:
        return web.Response(status=int((await request.read()) or b"503"))

    async def redirect(request: web.Request) -> web.Response:
        del request
        raise web.HTTPTemporaryRedirect("/moved")

    async def moved(request: web.Request) -> web.Response:
        return web.Response(body=await request.read(), content_type="text/plain")

    async def cut(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async def story() -> None:
        routes = [web.post("/answer", empty), web.post("/there", redirect), web.get("/", _blank)]
        routes += [web.post("/moved", moved), web.post("/cut", cut)]
        async with serving(*routes) as address, page_in(tmp_path) as page:
            await page.open(address)
            for status in (204, 429, 503):
                capture = page.capture("/answer", "POST")
                await page.evaluate(ASK % status)
                assert await capture.head() == status
                assert await capture.read() == []
            capture = page.capture("/there", "POST")
            await page.evaluate(ASK.replace("/answer", "/there") % "moved é")
            assert await capture.head() == 200
            assert b"".join(await capture.read()).decode() == "moved é"
            capture = page.capture("/cut", "POST")
            await page.evaluate(ASK.replace("/answer", "/cut") % "x")
            with pytest.raises(UpstreamFailed, match="did not answer"):
                await capture.head()

    tell(story())


def test_screenshot_is_a_picture(tmp_path: Path) -> None:
    """What is visible comes as a PNG in base64."""

    async def story() -> None:
        async with page_in(tmp_path) as page:
            await page.open(FORM)
            assert (await page.screenshot()).startswith("iVBORw0KGgo")

    tell(story())
