"""What sites ask of a page, asked of each engine that has a driver: real browsers, real pages."""

import json
import socket
from pathlib import Path
from urllib.parse import quote

import msgspec
import pytest
from aiohttp import web
from real_browser import engine_in, on_each_engine, page_of, serving, tell

from arenad.errors import ProfileOutdated
from arenad.schema.engine import Engine
from arenad.schema.login import SavedLogin
from arenad.worker import file_input, login
from arenad.worker.page_port import BrowserError, BrowserGone, CutShort, NoReply

FORM = """data:text/html,<!doctype html><meta charset=utf-8>
<textarea id=box></textarea><div id=rich contenteditable>old</div>
<fieldset disabled><button id=off>off</button></fieldset>
<button id=on onclick="document.title='pressed'">on</button>"""


@on_each_engine
def test_landmarks_are_waited_for(tmp_path: Path, engine: Engine) -> None:
    """What shows up later is found, by a mutation or by a style sheet; what never does is named."""

    async def story() -> None:
        async with page_of(tmp_path, engine) as page:
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


@on_each_engine
def test_a_covered_landmark_is_waited_for(tmp_path: Path, engine: Engine) -> None:
    """A press goes to the element or nowhere: what lies on top must go first, or is named."""

    async def story() -> None:
        async with page_of(tmp_path, engine) as page:
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
@on_each_engine
def test_writing_replaces_a_field(tmp_path: Path, engine: Engine, field: str, text: str) -> None:
    """Typed or pasted, into a text area or an editable element: the new text and no other."""

    async def story() -> None:
        async with page_of(tmp_path, engine) as page:
            await page.open(FORM)
            for _ in range(2):
                await page.write("field", field, text, 5)
            read = f"const e = document.querySelector('{field}'); e.value ?? e.innerText"
            assert await page.evaluate(f"{{ {read} }}") == text.replace("\r\n", "\n")

    tell(story())


LIMITED = """<textarea id=box maxlength=3000></textarea>
<textarea id=late oninput="setTimeout(() => { this.value = this.value.slice(0, 2500) }, 50)"></textarea>
<div id=rich contenteditable></div><div id=slow contenteditable></div><textarea id=odd></textarea><script>
const editor = (element, most, wait_ms) => element.addEventListener("paste", (event) => {
  event.preventDefault();
  const text = event.clipboardData.getData("text/plain").slice(0, most);
  setTimeout(() => { element.textContent = text }, wait_ms);
});
editor(rich, 2400, 0);
editor(slow, 1e9, 50);
odd.addEventListener("input", () => { odd.value = odd.value.toUpperCase().slice(1) });
</script>"""


@on_each_engine
@pytest.mark.parametrize(
    ("field", "text", "told"),
    [
        ("#box", "x" * 5000, "took 3000 of 5000 characters"),
        ("#late", "x" * 5000, "took 2500 of 5000 characters"),
        ("#rich", "x" * 5000, "took 2400 of 5000 characters"),
        ("#slow", "x" * 5000, ""),
        ("#box", "x" * 3000, ""),
    ],
)
def test_a_paste_that_is_cut_is_told(
    tmp_path: Path, engine: Engine, field: str, text: str, told: str
) -> None:
    """By the page's own limit, by its script a moment later, by its editor; no late one is."""

    async def story() -> None:
        async with page_of(tmp_path, engine) as page:
            await page.open(f"data:text/html,<!doctype html>{quote(LIMITED)}")
            if told:
                with pytest.raises(CutShort, match=told) as cut:
                    await page.write("prompt", field, text, 10)
                assert (cut.value.taken, cut.value.given) == (int(told.split()[1]), len(text))
            else:
                await page.write("prompt", field, text, 10)

    tell(story())


@on_each_engine
def test_a_field_that_takes_a_part_is_told(tmp_path: Path, engine: Engine) -> None:
    """No shortened prompt is ever sent in silence, and no other text than was given."""

    async def story() -> None:
        async with page_of(tmp_path, engine) as page:
            await page.open("data:text/html,<textarea maxlength=3>")
            with pytest.raises(CutShort, match="took 3 of 5 characters"):
                await page.write("prompt", "textarea", "12345", 5)
            await page.open(f"data:text/html,<!doctype html>{quote(LIMITED)}")
            with pytest.raises(ProfileOutdated, match="took 4 of 5 characters"):
                await page.write("prompt", "#odd", "abcde", 5)

    tell(story())


@on_each_engine
def test_the_sites_own_navigation_is_survived(tmp_path: Path, engine: Engine) -> None:
    """When the site goes elsewhere by itself, the new document is asked."""

    async def answer(request: web.Request) -> web.Response:
        text = f"<p id=at{request.path[1:]}>here"
        return web.Response(text=text, content_type="text/html")

    async def story() -> None:
        routes = (web.get("/one", answer), web.get("/two", answer))
        async with serving(*routes) as address, page_of(tmp_path, engine) as page:
            await page.open(f"{address}/one")
            await page.wait_for("one", "#atone", 5)
            await page.evaluate("location.href = '/two'; 0")
            await page.wait_for("two", "#attwo", 5)
            await page.evaluate("setTimeout(() => { location.href = '/one' }, 200); 0")
            await page.wait_for("one", "#atone", 10)

    tell(story())


@on_each_engine
def test_the_page_does_not_see_us(tmp_path: Path, engine: Engine) -> None:
    """What we bring along lives in a world of its own."""

    async def story() -> None:
        async with page_of(tmp_path, engine) as page:
            script = "document.title = typeof arenad"
            await page.open(f"data:text/html,<button onclick='{script}'>look</button>")
            assert await page.evaluate("typeof arenad") == "object"
            await page.press("look", "button", 5)
            assert await page.evaluate("document.title") == "undefined"

    tell(story())


@on_each_engine
def test_dialogs_do_not_hold_the_page(tmp_path: Path, engine: Engine) -> None:
    """An alert is sent away, a question is denied, and a page that wants to be kept is left."""

    async def story() -> None:
        async with page_of(tmp_path, engine) as page:
            await page.open(
                "data:text/html,<button onclick=\"alert(1);document.title=confirm('sure?')\">"
                "ask</button><script>onbeforeunload = (e) => e.preventDefault()</script>"
            )
            await page.press("ask", "button", 5)
            assert await page.evaluate("document.title") == "false"
            await page.open(FORM)
            assert await page.is_usable("#box")

    tell(story())


@on_each_engine
def test_screenshot_is_a_picture(tmp_path: Path, engine: Engine) -> None:
    """What is visible comes as a PNG in base64."""

    async def story() -> None:
        async with page_of(tmp_path, engine) as page:
            await page.open(FORM)
            assert (await page.screenshot()).startswith("iVBORw0KGgo")

    tell(story())


@on_each_engine
def test_what_does_not_open_is_told(tmp_path: Path, engine: Engine) -> None:
    """A script that throws, an address where nobody is, one that no browser opens; then it lives."""

    async def story() -> None:
        async with page_of(tmp_path, engine) as page:
            with pytest.raises(BrowserError, match="Error: broken"):
                await page.evaluate("throw new Error('broken')")
            with socket.socket() as bound:  # and nobody listens there
                bound.bind(("127.0.0.1", 0))
                nobody = f"http://127.0.0.1:{bound.getsockname()[1]}/"
            for address in ("http://127.0.0.1:1/", nobody):
                with pytest.raises(BrowserError, match="does not open"):
                    await page.open(address)
            await page.open(FORM)
            assert await page.is_usable("#box")

    tell(story())


VALUES = [None, True, 0, 1.5, "é 👍🏽 \u2028", [], [1, ["a", {"b": None}]], {"c": [{}]}]


@on_each_engine
def test_values_come_as_they_are(tmp_path: Path, engine: Engine) -> None:
    """What scripts give, promised or not, is what JSON would tell; a wait has its deadline."""

    async def story() -> None:
        async with page_of(tmp_path, engine) as page:
            await page.open(FORM)
            for value in VALUES:
                told = json.dumps(value)
                assert await page.evaluate(f"Promise.resolve(({told}))") == value
                assert await page.evaluate(f"({told})") == value
            assert await page.evaluate("undefined") is None
            with pytest.raises(NoReply):
                await page.evaluate("new Promise(() => {})", 0.2)

    tell(story())


@on_each_engine
def test_answers_and_addresses_are_known(tmp_path: Path, engine: Engine) -> None:
    """The head of the page's own answer; its address, also where only a script changed it."""

    async def refused(_: web.Request) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": "7"}, text="wait")

    async def story() -> None:
        routes = (web.get("/", _blank), web.get("/no", refused))
        async with serving(*routes) as address, page_of(tmp_path, engine) as page:
            await page.open(f"{address}/no")
            assert (page.status, page.headers["retry-after"]) == (429, "7")
            before = page.documents
            await page.open(address)
            assert page.status == 200
            assert page.documents == before + 1
            assert page.url == f"{address}/"
            await page.evaluate("history.pushState(null, '', '/c/7')")
            assert (page.url, page.documents) == (f"{address}/c/7", before + 1)

    tell(story())


async def _blank(_: web.Request) -> web.Response:
    return web.Response(text="<p>blank", content_type="text/html")


STORES = """localStorage.setItem('a', 'é\\n'); document.cookie = 'c=1; path=/; max-age=600';
caches.open('k').then((cache) => cache.put('/k', new Response('kept')))"""
STORED = """Promise.all([caches.has('k'), indexedDB.databases().then((all) => all.length)])
.then(([has]) => [localStorage.length, document.cookie, has])"""


@on_each_engine
def test_pages_share_nothing(tmp_path: Path, engine: Engine) -> None:
    """Neither side by side nor one after another."""

    async def story() -> None:
        routes = (web.get("/", _blank),)
        async with serving(*routes) as address, engine_in(tmp_path, engine) as browser:
            one, two = [await browser.page() for _ in range(2)]
            for page in (one, two):
                await page.open(address)
            await one.evaluate(STORES)
            assert await one.evaluate(STORED) == [1, "c=1", True]
            assert await two.evaluate(STORED) == [0, "", False]
            assert await two.cookies() == []
            await one.close()
            with pytest.raises(BrowserGone):
                await one.evaluate("1")
            three = await browser.page()
            await three.open(address)
            assert await three.evaluate(STORED) == [0, "", False]

    tell(story())


@on_each_engine
def test_a_login_goes_from_page_to_page(tmp_path: Path, engine: Engine) -> None:
    """Cookies with all that belongs to them, and local storage; the site is asked nothing."""
    asked: list[str] = []

    async def site(request: web.Request) -> web.Response:
        asked.append(request.path)
        given = web.Response(text="<p>blank", content_type="text/html")
        given.set_cookie("session", "s", httponly=True, samesite="Strict", max_age=1000)
        return given

    async def story() -> None:
        routes = (web.get("/", site),)
        async with serving(*routes) as address, engine_in(tmp_path, engine) as browser:
            one, two = [await browser.page() for _ in range(2)]
            await one.open(address)
            await one.evaluate(STORES)
            saved = await login.taken_from(one, address)
            assert saved.local == {"a": "é\n"}
            assert {each.name: each.sameSite for each in saved.cookies}["session"] == "Strict"
            await login.give(two, saved)
            assert asked == ["/"]
            assert await two.evaluate("document.body.innerHTML") == ""
            found = await login.taken_from(two, address)
            assert found.local == saved.local
            assert _plain(found) == _plain(saved)

    tell(story())


def _plain(saved: SavedLogin) -> set[tuple[object, ...]]:
    """Cookies whatever their order; an engine may count seconds in whole ones."""
    cookies = [msgspec.structs.replace(each, expires=int(each.expires)) for each in saved.cookies]
    return {msgspec.structs.astuple(each) for each in cookies}


TAKES_FILES = """<input type=file id=one hidden><input type=file id=many multiple hidden>
<div id=zone style="width: 9em; height: 9em"></div><script>
let noted = Promise.resolve();
const note = (how, files) => {
  for (const file of files) {
    noted = noted.then(() => file.text()).then((text) => { document.title += ` ${how}:${file.name}:${text}`; });
  }
};
for (const input of document.querySelectorAll("input")) {
  input.onchange = () => note(input.id, input.files);
}
zone.ondragover = (event) => event.preventDefault();
zone.ondrop = (event) => { event.preventDefault(); note("drop", event.dataTransfer.files); };
</script>"""


@on_each_engine
def test_files_come_by_inputs_and_drops(tmp_path: Path, engine: Engine) -> None:
    """Into an input that nobody sees, several at once where it takes them, and dropped."""
    paths: list[str] = []
    for name in ("a.txt", "é.txt"):
        (tmp_path / name).write_text(f"in {name}")
        paths.append(str(tmp_path / name))

    async def story() -> None:
        routes = (web.get("/", _of(TAKES_FILES)),)
        async with serving(*routes) as address, page_of(tmp_path, engine) as page:
            await page.open(address)
            assert await page.give_files("arenad.fileInput(['#one'])", paths[:1])
            assert await page.give_files("arenad.fileInput(['#many'])", paths)
            assert not await page.give_files("arenad.fileInput(['#zone'])", paths)
            await file_input.give(page, "drop", ("zone", ("#zone",)), paths)
            wanted = "one:a.txt:in a.txt many:a.txt:in a.txt many:é.txt:in é.txt "
            wanted += "drop:a.txt:in a.txt drop:é.txt:in é.txt"
            told = f"document.title.trim() === {json.dumps(wanted)}"
            await page.evaluate(f"arenad.until(() => {told}, 5000)")
            assert await page.evaluate("document.title") == wanted

    tell(story())


def _of(markup: str):
    async def page(_: web.Request) -> web.Response:
        return web.Response(text=f"<!doctype html>{markup}", content_type="text/html")

    return page


@on_each_engine
def test_bytes_are_fetched_with_the_pages_cookies(tmp_path: Path, engine: Engine) -> None:
    """All of them, up to a most; nothing where there is nothing."""

    async def secret(request: web.Request) -> web.Response:
        if request.cookies.get("c") != "1":
            raise web.HTTPForbidden
        return web.Response(body=bytes(range(256)) * 400)

    async def story() -> None:
        routes = (web.get("/", _blank), web.get("/secret", secret))
        async with serving(*routes) as address, page_of(tmp_path, engine) as page:
            await page.open(address)
            assert not await page.loaded(f"{address}/missing", 200_000, 10)
            await page.evaluate("document.cookie = 'c=1; path=/'")
            found = await page.loaded(f"{address}/secret", 200_000, 10)
            assert found == bytes(range(256)) * 400
            assert len(await page.loaded(f"{address}/secret", 1000, 10)) > 1000

    tell(story())
