"""A page driven by its profile: steps, dialogs, models from each source, and the signs of trouble."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from real_browser import page_in, serving, tell

from arenad.errors import (
    ChatFull,
    ContentRejected,
    Expired,
    NeedsHuman,
    NeedsLogin,
    ProfileOutdated,
    RequestError,
    Resting,
    UpstreamFailed,
)
from arenad.schema.profile import Profile
from arenad.worker.page import Page
from arenad.worker.sites import driver
from arenad.worker.sites.driver import Driver

BASE: dict[str, Any] = {
    "version": 1,
    "name": "small",
    "landmarks": {"prompt": "textarea"},
    "stream": {"url_pattern": "/chat"},
}
LOGIN = "<h1>Log in</h1><input type=password>"
CHECK = "<title>Just a moment…</title><p>Checking your browser"
BOX = "<textarea></textarea>"

SIGNS = {
    "wall": {"means": "needs_login", "selector": "input[type=password]"},
    "moment": {"means": "needs_human", "text": "just a moment"},
    "check": {"means": "needs_human", "selector": "dialog[open]#check"},
    "full": {"means": "resting", "selector": "[role=alert] >> text=too many"},
    "ended": {"means": "expired", "url": "/ended"},
    "refused": {"means": "content_rejected", "selector": "#refused"},
}


def profile(**sections: object) -> Profile:
    """A profile with these sections changed."""
    return msgspec.convert(BASE | sections, Profile)


def page_with(markup: str, status: int = 200, **headers: str) -> web.RouteDef:
    """A site with one page."""

    async def reply(_: web.Request) -> web.Response:
        text = f"<!doctype html><meta charset=utf-8>{markup}"
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(text=text, content_type="text/html", status=status, headers=told)

    return web.get("/{path:.*}", reply)


def drive(
    folder: Path, markup: str, wanted: Profile, work: Callable[[Driver, Page], Awaitable[None]]
) -> None:
    """Do something with a driver on a page of this markup, not opened yet."""

    async def story() -> None:
        async with serving(page_with(markup)) as address, page_in(folder) as page:
            await work(Driver(page, wanted, f"{address}/"), page)

    tell(story())


# -- signs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("markup", "path", "error", "sign"),
    [
        (LOGIN, "/", NeedsLogin, "wall"),
        (f"{LOGIN}{BOX}", "/", NeedsLogin, "wall"),
        (CHECK, "/", NeedsHuman, "moment"),
        (f"{BOX}<dialog open id=check>person?</dialog>", "/", NeedsHuman, "check"),
        (f"{BOX}<div role=alert>Too many of them</div>", "/", Resting, "full"),
        (BOX, "/ended?now", Expired, "ended"),
        (f"{BOX}<p id=refused>no</p>", "/", ContentRejected, "refused"),
    ],
)
def test_each_sign_is_its_error(
    tmp_path: Path, markup: str, path: str, error: type[RequestError], sign: str
) -> None:
    """By an element, a text or the address; the error names the sign."""

    async def work(driver: Driver, page: Page) -> None:
        del page
        with pytest.raises(error, match=f"the site shows the sign {sign} "):
            await driver.open()

    drive(tmp_path, markup, profile(start_path=path, signs=SIGNS), work)


def test_a_chat_may_talk_of_signs(tmp_path: Path) -> None:
    """A text counts only where there is no prompt: what an answer says is no sign."""

    async def work(driver: Driver, page: Page) -> None:
        del page
        await driver.open()

    drive(tmp_path, f"<p>Just a moment, too many!</p>{BOX}", profile(signs=SIGNS), work)


def test_a_page_that_is_used_again_by_itself(tmp_path: Path) -> None:
    """A look loads nothing: what a person has cleared in the page stays cleared."""

    async def work(driver: Driver, page: Page) -> None:
        with pytest.raises(NeedsHuman):
            await driver.open()
        await page.evaluate("document.querySelector('dialog').close(); document.title = 'same'")
        await driver.look(0.1)
        assert await page.evaluate("document.title") == "same"

    drive(tmp_path, f"{BOX}<dialog open id=check></dialog>", profile(signs=SIGNS), work)


@pytest.mark.parametrize(
    ("status", "headers", "rest_s"),
    [(429, {"Retry_After": "7"}, 7.0), (503, {}, None), (403, {}, None)],
)
def test_a_page_that_is_refused_is_left_in_peace(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    headers: dict[str, str],
    rest_s: float | None,
) -> None:
    """An error instead of the page is a refusal, for as long as its head says."""
    monkeypatch.setattr(driver, "LANDMARK_TIMEOUT_S", 0.2)

    async def story() -> None:
        route = page_with("<h1>No</h1>", status, **headers)
        async with serving(route) as address, page_in(tmp_path) as page:
            with pytest.raises(Resting, match=f"the site answered its page with {status}") as told:
                await Driver(page, profile(), address).open()
            assert told.value.retry_after_s == rest_s

    tell(story())


def test_an_address_that_is_gone_is_a_landmark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not found is no refusal: the site has moved its page."""
    monkeypatch.setattr(driver, "LANDMARK_TIMEOUT_S", 0.2)

    async def story() -> None:
        async with serving(page_with("no", 404)) as address, page_in(tmp_path) as page:
            with pytest.raises(ProfileOutdated, match=r"start_path: http.*/there was answered"):
                await Driver(page, profile(start_path="/there"), address).open()

    tell(story())


def test_what_went_wrong_is_explained_by_a_sign(tmp_path: Path) -> None:
    """After a failed chat the page may show why; what was said precisely stays as it was."""

    async def work(driver: Driver, page: Page) -> None:
        await driver.open()
        failed, rests = UpstreamFailed("403"), Resting("wait")
        assert await driver.explained(failed) is failed
        await page.evaluate("document.querySelector('dialog').setAttribute('open', '')")
        assert isinstance(await driver.explained(failed), NeedsHuman)
        assert await driver.explained(rests) is rests

    drive(tmp_path, f"{BOX}<dialog id=check></dialog>", profile(signs=SIGNS), work)


# -- steps and dialogs ------------------------------------------------------------------------------

APP = """<style>.off { display: none }</style>
<button id=mode onclick="box.className = ''">Direct</button>
<div id=box class=off><textarea id=t onkeydown="note(event.key)"></textarea></div>
<button id=late class=off onclick="note('late')">Send</button>
<dialog id=terms><button onclick="terms.close(); note('agreed')">Agree</button></dialog>
<script>const note = (text) => (document.title += ` ${text}`);
t.oninput = () => setTimeout(() => { late.className = ""; }, 300);</script>"""


def test_steps_open_choose_and_send(tmp_path: Path) -> None:
    """A tab to choose first, a button that comes late, a key; in their order."""
    wanted = profile(
        landmarks={"prompt": "#t", "send": "#late"},
        opening=[{"press": "role=button[name=direct]".replace("direct", '"direct"')}],
        send=[{"wait": "send"}, {"key": "Escape"}, {"press": "send"}, {"press_if": "#nothing"}],
    )

    async def work(driver: Driver, page: Page) -> None:
        await driver.open()
        await driver.write("hello")
        await driver.send()
        assert await page.evaluate("document.title") == "Escape late"

    drive(tmp_path, APP, wanted, work)


def test_a_prompt_that_the_page_cuts_is_the_clients_to_shorten(tmp_path: Path) -> None:
    """Its limit is told, and the page's profile is as good as before; in a step it is not."""
    wanted = profile(landmarks={"prompt": "#t"}, opening=[{"write": "me", "into": "#name"}])
    page = "<textarea id=t maxlength=3000></textarea>"
    told = "are 5000 characters as one prompt; the page takes 3000"

    async def work(driver: Driver, _: Page) -> None:
        with pytest.raises(ProfileOutdated, match="took 1 of 2 characters"):
            await driver.open()
        with pytest.raises(ChatFull, match=told):
            await driver.write("x" * 5000)

    drive(tmp_path, f"{page}<input id=name maxlength=1>", wanted, work)


GATE = """<form onsubmit="event.preventDefault(); this.remove(); t.hidden = false;
document.title = `${name_.value} ${word.value}`"><input id=name_ value=old><input id=word type=password>
<button>Log in</button></form><textarea id=t hidden></textarea>"""


@pytest.mark.parametrize(("markup", "title"), [(GATE, "me sesame"), (BOX, "")])
def test_a_form_before_the_page_is_filled_in_where_it_shows(
    tmp_path: Path, markup: str, title: str
) -> None:
    """Each of its fields by its place, and nothing is written where there is none."""
    form = [
        {"wait": ["#name_", "textarea"]},
        {"write": "me", "into": "#name_", "when": "#name_"},
        {"write": "sesame", "into": "#word", "when": "#word"},
        {"key": "Enter", "when": "#word"},
    ]

    async def work(driver: Driver, page: Page) -> None:
        await driver.open()
        assert await page.evaluate("document.title") == title
        assert await page.evaluate("document.querySelector('textarea').value") == ""

    drive(tmp_path, markup, profile(opening=form), work)


def test_a_step_that_cannot_be_done_is_named(tmp_path: Path) -> None:
    """By its place in the profile, or by its landmark."""
    wanted = profile(
        landmarks={"prompt": "#t", "stop": "#stop"},
        opening=[{"press_if": "#nothing"}, {"wait": ".never", "within_s": 0.1}],
        stop=[{"press": "stop", "within_s": 0.1}],
    )

    async def work(driver: Driver, page: Page) -> None:
        del page
        with pytest.raises(ProfileOutdated, match=r"the landmark opening\[1\] \(\.never\) is not"):
            await driver.open()
        with pytest.raises(ProfileOutdated, match=r"the landmark stop \(#stop\) is not"):
            await driver.stop(5.0)

    drive(tmp_path, APP, wanted, work)


def test_enter_sends_where_there_is_no_button(tmp_path: Path) -> None:
    """Without a landmark at once, with `or_key` after a moment."""
    for sections in (
        {"landmarks": {"prompt": "#t"}},
        {
            "landmarks": {"prompt": "#t", "send": "#none"},
            "send": [{"press": "send", "or_key": "Enter", "within_s": 0.1}],
        },
    ):

        async def work(driver: Driver, page: Page) -> None:
            await driver.goto()
            await driver.look(5.0)
            await driver.write("hello")
            await driver.send()
            assert await page.evaluate("document.title") == "Enter"

        wanted = profile(**sections, opening=[{"press": "#mode"}])
        drive(tmp_path, APP, wanted, work)


def test_dialogs_are_agreed_to_when_they_show(tmp_path: Path) -> None:
    """When the page opens, and when one lies over what is to be pressed."""
    wanted = profile(
        landmarks={"prompt": "#t", "send": "#mode"},
        opening=[{"press": "#mode"}],
        dismiss=["dialog[open] button"],
    )

    async def work(driver: Driver, page: Page) -> None:
        await driver.goto()
        await page.evaluate("document.querySelector('#terms').showModal()")
        await driver.look(5.0)
        assert await page.evaluate("document.title") == "agreed"
        await page.evaluate("document.querySelector('#terms').showModal()")
        await driver.press("send", 0.5)
        assert await page.evaluate("document.title") == "agreed agreed"

    drive(tmp_path, APP, wanted, work)


# -- models -----------------------------------------------------------------------------------------

MODELS = "<select><option>one<option>two</select><textarea></textarea>"


@pytest.mark.parametrize(
    ("rules", "names"),
    [
        ({}, ["small"]),
        ({"names": ["a"], "aliases": {"b": "a"}}, ["a", "b"]),
        ({"options": "select >> option"}, ["one", "two"]),
        ({"json_path": "/models", "json_list": "data", "id_field": "id"}, ["x", "y"]),
    ],
)
def test_models_come_from_each_source(
    tmp_path: Path, rules: dict[str, object], names: list[str]
) -> None:
    """The profile's own name, a list, the page's options, an address of the site."""

    async def listed(_: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "x"}, {"id": "y"}]})

    async def story() -> None:
        routes = (web.get("/models", listed), page_with(MODELS))
        async with serving(*routes) as address, page_in(tmp_path) as page:
            driver = Driver(page, profile(models=rules), f"{address}/")
            await driver.open()
            assert [model.id for model in await driver.models()] == names

    tell(story())


def test_a_native_list_chooses_the_model(tmp_path: Path) -> None:
    """The option is chosen by its name; a name that is not there is a landmark that is gone."""
    marks = {"prompt": "textarea", "model_picker": "select", "model_option": "#{model}"}

    async def work(driver: Driver, page: Page) -> None:
        await driver.open()
        await driver.choose("two")
        assert await page.evaluate("document.querySelector('select').value") == "two"

    drive(tmp_path, MODELS, profile(landmarks=marks), work)


def test_a_choice_that_a_new_document_forgot_is_made_again(tmp_path: Path) -> None:
    """A link to a new chat may bring its document late; what is sent goes to the chosen model."""
    marks = {"prompt": "textarea", "model_picker": "select", "send": "button"}
    sent = (
        "<button onclick=\"document.title = document.querySelector('select').value\">Send</button>"
    )

    async def work(driver: Driver, page: Page) -> None:
        await driver.open()
        await driver.choose("two")
        await page.evaluate("document.querySelector('select').value = 'one'")
        await driver.write("hello")
        await driver.send()
        assert await page.evaluate("document.title") == "two"

    drive(tmp_path, f"{MODELS}{sent}", profile(landmarks=marks), work)


def test_a_button_that_is_not_ready_at_once_is_waited_for(tmp_path: Path) -> None:
    """Where to send is looked for together with what was written; if it is not there yet, again."""
    late = '<textarea oninput="setTimeout(() => b.disabled = false, 300)"></textarea>'
    button = "<button id=b disabled onclick=\"document.title = 'sent'\">Send</button>"

    async def work(driver: Driver, page: Page) -> None:
        await driver.open()
        await driver.write("hello")
        assert await page.evaluate("b.disabled")
        await driver.send()
        assert await page.evaluate("document.title") == "sent"

    marks = {"prompt": "textarea", "send": "button"}
    drive(tmp_path, f"{late}{button}", profile(landmarks=marks), work)


LATE = """<textarea></textarea><script>
const socket = new WebSocket(location.origin.replace("http", "ws") + "/state");
socket.onmessage = () => document.body.setAttribute("data-met", "");
</script>"""


def test_a_page_is_used_once_it_has_met_its_server(tmp_path: Path) -> None:
    """Where a server holds the page's state, what is typed before that is lost."""

    async def state(request: web.Request) -> web.WebSocketResponse:
        await asyncio.sleep(0.5)  # it is busy
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str("hello")
        async for _ in socket:
            pass
        return socket

    async def story() -> None:
        routes = (page_with(LATE), web.get("/state", state))
        async with serving(*routes) as address, page_in(tmp_path) as page:
            await Driver(page, profile(), address).open()
            assert await page.is_usable("[data-met]")

    tell(story())
