"""A page that nobody has described: its first answer comes whole, and teaches the way of the next."""

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from aiohttp import WSMsgType, web
from msgspec.structs import replace
from real_browser import browser_in, serving, serving_demo, tell

from arenad import profiles
from arenad.schema.chat import Chat, Event, Finish, TextDelta, Turn
from arenad.schema.profile import ModelRules, Places
from arenad.worker import first_answer
from arenad.worker.browser import Browser
from arenad.worker.learn import Learning
from arenad.worker.page import Page
from arenad.worker.sites import guess as guess_module
from arenad.worker.sites.guess import Fit, Heard
from arenad.worker.sites.page_driven import PageSite

TEXT = """Some **bold** words, 競技場 and שלום, then a list:

1. first of them
2. second `code`

| a | b |
| --- | --- |
| 1 | 😀 |

The end is near, and here it is."""


async def site_at(browser: Browser, address: str, model: str) -> PageSite:
    generic = replace(profiles.load("generic"), models=ModelRules(names=(model,)))
    site = PageSite(await Page.create(browser.devtools), generic, address)
    await site.open()
    return site


async def texts(site: PageSite, prompt: str) -> list[str]:
    """The pieces of an answer that ended as it should."""
    pieces: list[str] = []

    async def emit(event: Event) -> None:
        if isinstance(event, TextDelta):
            pieces.append(event.text)

    wish = Chat("r", site.models[0].id, (Turn(role="user", text=prompt),), 30.0, 30.0, 50.0)
    assert await site.chat(wish, emit) == Finish("stop")
    return pieces


@pytest.mark.parametrize("name", ["websocket", "dom"])
def test_the_first_answer_teaches_the_way_of_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Whole at first, then as it grows; both to the letter, by the network where that carries it.

    The worker's loop runs on while that is worked out.
    """
    monkeypatch.setattr(first_answer, "REST_S", 1.0)
    guessing: list[threading.Thread] = []

    def guess(heard: Sequence[Heard], shown: str, prompt: str) -> Fit | None:
        guessing.append(threading.current_thread())
        return guess_module.guess(heard, shown, prompt)

    monkeypatch.setattr(first_answer, "guess", guess)

    async def story() -> None:
        async with serving_demo(chunks_per_s=40.0) as address, browser_in(tmp_path) as browser:
            site = await site_at(browser, f"{address}/other/{name}", "demo-echo")
            first = await texts(site, TEXT)
            assert first == [TEXT]
            assert site._stream.transport == name
            assert guessing != []
            assert threading.main_thread() not in guessing
            second = await texts(site, f"Again:\n\n{TEXT}")
            assert "".join(second) == f"Again:\n\n{TEXT}"
            assert len(second) > 5

    tell(story())


PAGE = """<!doctype html><meta charset=utf-8><style>p { white-space: pre-wrap }</style>
<div id=log></div><textarea placeholder=Message></textarea><button>Send</button><script>
const socket = new WebSocket(location.origin.replace("http", "ws") + "/talk");
socket.binaryType = "arraybuffer";
const box = document.querySelector("textarea");
const shown = () => document.querySelector("#log").appendChild(document.createElement("p"));
document.querySelector("button").onclick = () => { socket.send(box.value); box.value = ""; };
let answer = null;
const read = (bytes, at = 0) => new TextDecoder().decode(bytes.slice(at));
socket.onmessage = ({data}) => {
    const bytes = new Uint8Array(data);
    if (bytes[0] >> 3 === 1) (answer = shown()).textContent = read(bytes, 2);
    if (bytes[0] >> 3 === 2) (answer ??= shown()).textContent = read(bytes, 2);
    if (bytes[0] >> 3 === 1) answer = null;
};
</script>"""


def test_bytes_in_which_the_page_is_told_its_own_prompt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Protocol buffers, the prompt in the place of the answer, the whole so far each time."""
    monkeypatch.setattr(first_answer, "REST_S", 0.5)
    said = (
        "A heron stands in the shallow water and waits, for as long as it takes it to see a fish."
    )

    async def shown(_: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html")

    async def talk(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            assert message.type == WSMsgType.TEXT
            wholes = [message.data, *(said[: at + 8] for at in range(0, len(said), 8))]
            for number, whole in enumerate(wholes):
                packed = whole.encode()
                await socket.send_bytes(
                    bytes([(1 if not number else 2) << 3 | 2, len(packed)]) + packed
                )
            await socket.send_bytes(b"\x18\x01")
        return socket

    async def story() -> None:
        routes = web.get("/", shown), web.get("/talk", talk)
        async with serving(*routes) as address, browser_in(tmp_path) as browser:
            site = await site_at(browser, address, "any")
            for _ in range(2):
                assert "".join(await texts(site, "What does a heron do?")) == said
            assert site._stream.grammar == "protobuf"
            assert site._stream.answer is not None
            assert site._stream.answer.finish == "3"

    tell(story())


TURNS = """<!doctype html><meta charset=utf-8><div id=log></div>
<textarea id=c6 placeholder=Message></textarea>BUTTON<script>
const box = document.querySelector("textarea"), button = document.querySelector("button");
const made = (name) => Object.assign(document.createElement("div"), {className: name});
const turn = (...parts) => {
    const [row, name, body, text] = [made("row"), made(""), made(""), made("text")];
    log.append(row);
    row.append(name, body);
    name.textContent = "Someone";
    body.append(text);
    return parts.map((part) => {
        const paragraph = text.appendChild(made("part"));
        return paragraph.textContent = part, paragraph;
    });
};
const send = () => {
    turn(box.value); box.value = "";
    setTimeout(async () => {
        const [, long] = turn("Two words.", "");
        for (let at = 0; at < 40; at++) {
            long.textContent += `and part ${at} `;
            await new Promise((resolve) => setTimeout(resolve, 20));
        }
    }, 300);
};
box.onkeydown = (event) => { if (event.key === "Enter") send(); };
if (button) {
    button.onclick = send;
    box.oninput = () => setTimeout(() => { button.disabled = false; }, 700);
}
</script>"""
SAID = "Two words.\n\n" + " ".join(f"and part {at}" for at in range(40))


def turns(button: str) -> web.RouteDef:
    """The page above."""

    async def shown(_: web.Request) -> web.Response:
        return web.Response(text=TURNS.replace("BUTTON", button), content_type="text/html")

    return web.get("/", shown)


def test_turns_of_one_kind_and_paragraphs_without_a_tag(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What all turns are in is told from the prompt's by its text, and is read with all its parts."""
    monkeypatch.setattr(first_answer, "REST_S", 0.5)

    async def story() -> None:
        async with serving(turns("")) as address, browser_in(tmp_path) as browser:
            site = await site_at(browser, address, "any")
            assert await texts(site, "What does a heron do?") == [SAID]
            assert site._stream.dom is not None
            assert site._stream.dom.element == "div.text"
            second = await texts(site, "And an *egret*?")
            assert "".join(second) == SAID
            assert len(second) > 1

    tell(story())


@pytest.mark.parametrize(
    ("button", "place"),
    [("", ()), ("<button class=submit-button disabled></button>", "button.submit-button")],
)
def test_a_draft_sends_as_the_page_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, button: str, place: Places
) -> None:
    """By Enter where there is no button, by a button that is enabled late where there is one."""
    monkeypatch.setattr(first_answer, "REST_S", 0.5)

    async def story() -> None:
        async with serving(turns(button)) as address, browser_in(tmp_path) as browser:
            page = await Page.create(browser.devtools)
            lesson = await Learning(page, profiles.load("generic"), address).run("What is it?")
            marks = lesson.profile.landmarks
            assert (lesson.is_whole, marks.send, lesson.profile.send) == (True, place, ())
            assert marks.prompt == 'textarea[placeholder="Message"]', "no number of the page's own"
            drafted = PageSite(await Page.create(browser.devtools), lesson.profile, address)
            await drafted.open()
            assert "".join(await texts(drafted, "And an egret?")) == SAID

    tell(story())
