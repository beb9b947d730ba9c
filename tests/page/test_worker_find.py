"""How places are found on a real page: roles, names, texts, shadow roots, frames, ids given twice."""

from pathlib import Path

import pytest
from aiohttp import web
from real_browser import on_each_engine, page_of, serving, tell

from arenad.errors import ProfileOutdated
from arenad.schema.engine import Engine
from arenad.worker.page_port import Option

PAGE = """<!doctype html><meta charset=utf-8><title>find</title>
<style>.off { display: none }</style>
<div class=off><textarea id=twice></textarea><button>Send</button></div>
<label>Your message <textarea id=twice data-seen=yes></textarea></label>
<button aria-label="Send message" onclick="document.title = 'sent'"><svg></svg></button>
<button disabled>Send later</button><button aria-disabled=true>Send never</button>
<a href="/new"><span>New</span> chat</a>
<div role=dialog aria-labelledby=t><h2 id=t>Terms</h2><button>Agree</button></div>
<div role=option data-model='a "b"'>a "b"</div>
<chat-box></chat-box>
<iframe src="/frame" style="border: 7px solid; margin: 50px"></iframe>
<script>
class Box extends HTMLElement {
  connectedCallback() {
    this.attachShadow({ mode: "open" }).innerHTML =
      "<div><input id=deep placeholder='Ask anything'><button id=go>Go</button></div>";
    this.shadowRoot.querySelector("#go").onclick = () => (document.title = "went");
  }
}
customElements.define("chat-box", Box);
</script>"""

FRAME = """<!doctype html><meta charset=utf-8><div style="height: 40px"></div>
<button id=framed onclick="parent.document.title = 'framed'">In the frame</button>
<div contenteditable id=rich style="width: 200px; height: 20px"></div>"""

FOUND = {
    "#twice": "yes",
    "css=textarea": "yes",
    'role=textbox[name="your message"]': "yes",
    'role=textbox[name*="message"]': "yes",
    "role=textbox[name=/^your/i]": "yes",
    'role=button[name="Send message"]': "",
    "role=button[name=/^Send/]": "",
    'role=link[name="New chat"]': "",
    'role=dialog[name="terms"] >> role=button': "",
    'role=dialog >> text="Agree"': "",
    "text=new chat": "",
    'role=option[name="a \\"b\\""]': "",
    "role=textbox[name*='ask']".replace("'", '"'): "",
    "chat-box >> #go": "",
    "#deep": "",
    "#framed": "",
    "iframe >> text=In the frame": "",
}
NOT_FOUND = [
    'role=button[name="Send"]',
    'role=button[name="Send later"]',
    'role=button[name="Send never"]',
    "text=Send later",
    ".off textarea",
    'role=dialog >> role=link[name="New chat"]',
    "script >> div",
]


async def _page(_: web.Request) -> web.Response:
    return web.Response(text=PAGE, content_type="text/html")


async def _frame(_: web.Request) -> web.Response:
    return web.Response(text=FRAME, content_type="text/html")


ROUTES = (web.get("/", _page), web.get("/frame", _frame))


@on_each_engine
def test_what_is_found_and_what_is_not(tmp_path: Path, engine: Engine) -> None:
    """By every kind of selector; what is hidden or off is not there."""

    async def story() -> None:
        async with serving(*ROUTES) as address, page_of(tmp_path, engine) as page:
            await page.open(address)
            for selector, seen in FOUND.items():
                assert await page.is_usable(selector), selector
                if seen:
                    script = f"arenad.usable([{selector!r}]).dataset.seen"
                    assert await page.evaluate(script) == seen, selector
            for selector in NOT_FOUND:
                assert not await page.is_usable(selector), selector

    tell(story())


@on_each_engine
def test_of_several_selectors_the_first_that_is_there_counts(
    tmp_path: Path, engine: Engine
) -> None:
    """Also when a later one is nearer to the top of the page."""

    async def story() -> None:
        async with serving(*ROUTES) as address, page_of(tmp_path, engine) as page:
            await page.open(address)
            assert await page.place(("#none", "#framed", "#twice")) == 1
            assert await page.place(("#none", ".off textarea")) == -1
            assert await page.first([{"places": ["#none"]}, {"url": "/$"}], 5.0) == 1
            assert await page.first([{"places": ["#none"]}, {"text": "IN THE frame"}], 0.1) == -1
            assert await page.first([{"text": "your  message"}], 0.1) == 0

    tell(story())


@on_each_engine
def test_what_lies_in_roots_and_frames_is_pressed_and_written(
    tmp_path: Path, engine: Engine
) -> None:
    """With the mouse at the right place, and by the keyboard."""

    async def story() -> None:
        async with serving(*ROUTES) as address, page_of(tmp_path, engine) as page:
            await page.open(address)
            for selector, title in (("#go", "went"), ("#framed", "framed"), ("text=agree", "")):
                await page.press("it", selector, 5)
                if title:
                    assert await page.evaluate("document.title") == title
            await page.write("deep", "#deep", "é 競", 5)
            await page.write("rich", "#rich", "one\ntwo", 5)
            assert await page.evaluate("arenad.usable(['#deep']).value") == "é 競"
            assert "two" in str(await page.evaluate("arenad.usable(['#rich']).innerText"))

    tell(story())


@on_each_engine
def test_a_modal_dialog_hides_the_rest(tmp_path: Path, engine: Engine) -> None:
    """What lies below cannot be used, what is in it can."""
    markup = "<textarea></textarea><dialog><button>OK</button></dialog>"
    shown = "<script>document.querySelector('dialog').showModal()</script>"

    async def story() -> None:
        async with page_of(tmp_path, engine) as page:
            await page.open(f"data:text/html,{markup}{shown}")
            assert not await page.is_usable("textarea")
            assert await page.is_usable("role=button")
            with pytest.raises(ProfileOutdated, match="the landmark prompt"):
                await page.write("prompt", "textarea", "x", 0.1)

    tell(story())


@on_each_engine
def test_editors_of_their_own_get_a_paste(tmp_path: Path, engine: Engine) -> None:
    """A long text goes to an editor that keeps its own model as a paste, not as markup."""
    script = """<div contenteditable id=e></div><script>
    e.addEventListener("paste", (event) => {
      event.preventDefault();
      e.textContent = event.clipboardData.getData("text/plain");
    });</script>"""

    async def story() -> None:
        async with page_of(tmp_path, engine) as page:
            await page.open(f"data:text/html,<!doctype html>{script}")
            text = "word <b>&amp;</b> " * 500
            await page.write("prompt", "#e", text, 10)
            assert await page.evaluate("document.getElementById('e').textContent") == text

    tell(story())


@on_each_engine
def test_keys_and_native_lists(tmp_path: Path, engine: Engine) -> None:
    """Enter with and without a modifier; an option by its name, told to the page's scripts."""
    script = """<textarea autofocus></textarea>
    <select id=s><option value=1>one</option><option value=2> second  choice</option></select>
    <script>const note = (text) => (document.title += ` ${text}`);
    addEventListener("keydown", (event) => event.key === "Enter" && note(event.ctrlKey + event.key));
    s.onchange = () => note(s.value);</script>"""

    async def story() -> None:
        async with serving(web.get("/", _of(script))) as address, page_of(tmp_path, engine) as page:
            await page.open(address)
            await page.write("box", "textarea", "x", 5)
            await page.key("Enter")
            await page.key("Control+Enter")
            assert await page.way_to((), Option("#s", "second choice")) == (True, None)
            assert not (await page.way_to((), Option("#s", "third"))).is_chosen
            assert (await page.way_to("textarea", Option("#s", "one"))).is_chosen  # shown already
            is_chosen, point = await page.way_to((), Option("textarea", "one"))
            assert not is_chosen
            assert point == await page.evaluate("arenad.spotNow(['textarea'])")
            assert await page.names("#s >> option") == ["one", "second choice"]
            assert await page.evaluate("document.title") == "falseEnter trueEnter 2"
            assert await page.evaluate("document.querySelector('textarea').value") == "x\n"

    tell(story())


def _of(markup: str):
    async def page(_: web.Request) -> web.Response:
        return web.Response(text=f"<!doctype html>{markup}", content_type="text/html")

    return page
