"""The dashboard's files in a real browser, against a small server that says what a test scripts."""

import asyncio
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Self

import pytest
from aiohttp import WSMsgType, web
from msgspec import to_builtins
from msgspec.structs import replace
from playwright.sync_api import Browser, Page, expect, sync_playwright

from arenad.schema.control import ChildState, Happening, State, Traffic

WEB = Path(__file__).resolve().parents[2] / "web"
DEADLINE_S = 20.0
CONTENT_POLICY = (
    "default-src 'self'; connect-src 'self'; img-src 'self' data:; style-src 'self'; "
    "script-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def worker(name: str, **changes: Any) -> ChildState:
    """A ready instance, changed as told."""
    calm = ChildState(
        name=name,
        role="worker",
        phase="ready",
        generation=1,
        pid=4100 + int(name.removeprefix("w")),
        phase_age_s=3725.0,
        restarts=0,
        last_death="",
        condition="ready",
        slots=2,
        busy=1,
        answered=412,
        failed=2,
        memory_bytes=412 * 1024 * 1024,
        processes=7,
        descriptors=143,
        cpu_percent=12.5,
        models=("arena-large",),
    )
    return replace(calm, **changes)


FRONTEND = ChildState(
    name="frontend-1",
    role="frontend",
    phase="ready",
    generation=1,
    pid=4001,
    phase_age_s=3730.0,
    restarts=0,
    last_death="",
)


def state(*children: ChildState, **changes: Any) -> State:
    """A daemon that is well, with two instances unless told otherwise, changed as told."""
    calm = State(
        word="well",
        verdict="2 of 2 instances are ready.",
        version="0.1.0",
        pid=4000,
        uptime_s=3731.0,
        site="demo",
        api_url="http://127.0.0.1:5102/v1",
        gui_url="http://127.0.0.1:5104/",
        instances_wanted=2,
        instances_max=8,
        children=children or (FRONTEND, worker("w1"), worker("w2")),
        traffic=Traffic(queue_limit=256, running=2, answered=824, failed=4, requests_per_s=1.25),
        story=(Happening(at_unix_s=1_700_000_000.0, about="w1", text="ready after 0.8 s"),),
    )
    return replace(calm, **changes)


class ScriptedServer:
    """Serves `web/` by the dashboard's contract, in a thread; what it says and answers is scripted."""

    def __init__(self) -> None:
        self.port = 0
        self.latest: dict[str, Any] = said(state())
        self.answer: tuple[int, dict[str, Any]] = (200, {"text": "Done."})
        self.orders: list[tuple[str, Any, str]] = []
        self.held: asyncio.Event | None = None
        self._sockets: set[web.WebSocketResponse] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Where the dashboard is."""
        return f"http://127.0.0.1:{self.port}/gui/dashboard"

    def __enter__(self) -> Self:
        """Serve."""
        self._thread.start()
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop serving, and leave nothing behind."""
        self.shut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(DEADLINE_S)
        self._loop.close()

    def open(self) -> None:
        """Listen, on the same port as before if there was one."""
        self._run(self._open())

    def shut(self) -> None:
        """Close every connection and the listening socket."""
        self._run(self._shut())

    def say(self, message: State | dict[str, Any]) -> None:
        """Send a state, or a message as it stands, to every page; later pages get it at once."""
        self.latest = said(message) if isinstance(message, State) else message
        self._run(self._say())

    def hold(self) -> None:
        """Keep orders waiting for their answers until `let_go`."""
        self.held = asyncio.Event()

    def let_go(self) -> None:
        """Answer the orders that wait."""
        if self.held is not None:
            self._loop.call_soon_threadsafe(self.held.set)

    def _run(self, doing: Any) -> None:
        done: Future[None] = asyncio.run_coroutine_threadsafe(doing, self._loop)
        done.result(DEADLINE_S)

    async def _open(self) -> None:
        app = web.Application()
        app.on_response_prepare.append(add_policy)
        app.router.add_get("/gui/dashboard", self._page)
        app.router.add_get("/gui/ws", self._feed)
        app.router.add_post("/gui/api/{order}", self._order)
        app.router.add_static("/gui/static", WEB)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _shut(self) -> None:
        for socket in list(self._sockets):
            await socket.close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _say(self) -> None:
        for socket in list(self._sockets):
            await socket.send_json(self.latest)

    async def _page(self, _: web.Request) -> web.FileResponse:
        return web.FileResponse(WEB / "dashboard.html")

    async def _feed(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._sockets.add(socket)
        try:
            await socket.send_json(self.latest)
            async for message in socket:
                assert message.type is WSMsgType.TEXT
        finally:
            self._sockets.discard(socket)
        return socket

    async def _order(self, request: web.Request) -> web.Response:
        order, body = request.match_info["order"], await request.json()
        self.orders.append((order, body, request.content_type))
        if self.held is not None:
            async with asyncio.timeout(DEADLINE_S):
                await self.held.wait()
        status, answer = self.answer
        return web.json_response(answer, status=status)


def said(now: State) -> dict[str, Any]:
    """A state as the feed's message."""
    return {"type": "state", "state": to_builtins(now)}


async def add_policy(_: web.Request, response: web.StreamResponse) -> None:
    """Each answer carries the strict content policy that the frontend sends."""
    response.headers["Content-Security-Policy"] = CONTENT_POLICY


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for this module; its absence is a failure of the setup, not a reason to skip."""
    path = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    assert path is not None, "no Chromium here: run the setup script"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=path, chromium_sandbox=os.geteuid() != 0
        )
        yield opened
        opened.close()


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A server that says that all is well."""
    with ScriptedServer() as serving:
        yield serving


@pytest.fixture
def complaints() -> list[str]:
    """What the page's console complained about; empty at a test's end unless a test empties it."""
    return []


@pytest.fixture
def page(browser: Browser, server: ScriptedServer, complaints: list[str]) -> Iterator[Page]:
    """The dashboard, opened and live; at the end nothing may have gone to the console as an error."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-GB")
    context.set_default_timeout(DEADLINE_S * 1000)
    opened = context.new_page()
    opened.on("console", lambda line: heard(line.type, line.text, complaints))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.goto(server.url)
    expect(opened.locator("#link-text")).to_have_text("live")
    yield opened
    context.close()
    assert complaints == []


def heard(kind: str, text: str, complaints: list[str]) -> None:
    """Keep what a console line complains about."""
    if kind in {"error", "warning"}:
        complaints.append(text)


def wait_until(true: Callable[[], bool], page: Page) -> None:
    """Wait for a condition outside the page, with a deadline, while the page goes on."""
    deadline = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        page.evaluate("new Promise(requestAnimationFrame)")


def row(page: Page, name: str) -> Any:
    """The table row of one child."""
    return page.locator(f"tr[data-key='{name}']")


def test_shows_the_verdict_first(page: Page) -> None:
    """The verdict is the page's heading and title, with its sentence and the shape of its tone."""
    expect(page.get_by_role("heading", level=1)).to_have_text("Well")
    expect(page.locator("#verdict-sentence")).to_have_text("2 of 2 instances are ready.")
    expect(page.locator("#verdict use")).to_have_attribute("href", "#shape-good")
    expect(page).to_have_title("Well · arenad")
    expect(page.locator("#spoken")).to_have_text("well: 2 of 2 instances are ready.")


def test_shows_figures_and_places(page: Page) -> None:
    """Tiles and the head show the state's numbers and addresses."""
    expect(page.locator("#ready")).to_have_text("2")
    expect(page.locator("#ready-of")).to_have_text("of 2")
    expect(page.locator("#running-free")).to_have_text("2 slots free")
    expect(page.locator("#rate")).to_have_text("1.25")
    expect(page.locator("#answered")).to_have_text("824")
    expect(page.locator("#api-url")).to_have_text("http://127.0.0.1:5102/v1")
    expect(page.locator("#uptime")).to_have_text("1 h 2 min")
    expect(row(page, "w1").locator("[data-part=memory]")).to_have_text("412 MiB")
    expect(row(page, "w1").locator("[data-part=descriptors]")).to_have_text("143 descriptors")
    expect(row(page, "frontend-1").locator("[data-part=word]")).to_have_text("ready")
    expect(page.locator("#story li")).to_contain_text("ready after 0.8 s")


def test_a_wounded_instance_says_what_ails_it(page: Page, server: ScriptedServer) -> None:
    """Phase and condition appear as a word and a shape, with the reason or the next try below."""
    human = worker("w1", condition="needs_human", condition_reason="a check is shown")
    fallen = worker("w2", phase="backoff", next_try_s=12.0, pid=0, condition=None)
    server.say(state(human, fallen, word="degraded", verdict="No instance is ready."))
    expect(row(page, "w1").locator("[data-part=word]")).to_have_text("needs a human")
    expect(row(page, "w1").locator("[data-part=note]")).to_have_text("; a check is shown")
    expect(row(page, "w2").locator("[data-part=word]")).to_have_text("waiting to restart")
    expect(row(page, "w2").locator("[data-part=note]")).to_have_text("; next try in 12 s")
    expect(row(page, "w2").locator("use")).to_have_attribute("href", "#shape-warn")
    expect(page.locator("#verdict use")).to_have_attribute("href", "#shape-warn")


def test_rows_change_in_place_and_keep_focus(page: Page, server: ScriptedServer) -> None:
    """New numbers, rows that come and rows that go leave a focused button focused."""
    button = row(page, "w2").get_by_role("button", name="Drain w2")
    button.focus()
    kept = button.element_handle()
    server.say(state(worker("w1"), worker("w2", answered=500), worker("w10"), worker("w3")))
    expect(row(page, "w2").locator("[data-part=answered]")).to_have_text("500")
    expect(page.locator("#instances th")).to_have_text(["w1", "w2", "w3", "w10"])
    server.say(state(worker("w2", answered=501)))
    expect(page.locator("#instances th")).to_have_text(["w2"])
    expect(button).to_be_focused()
    assert kept.evaluate("element => element.isConnected && element === document.activeElement")


def test_focus_of_a_vanished_row_goes_to_its_table(page: Page, server: ScriptedServer) -> None:
    """When the focused row goes, focus does not fall back to the page's top."""
    row(page, "w2").get_by_role("button", name="Drain w2").focus()
    server.say(state(worker("w1")))
    expect(row(page, "w2")).to_have_count(0)
    expect(page.locator("#instances-box")).to_be_focused()


def test_scale_posts_the_number(page: Page, server: ScriptedServer) -> None:
    """The stepper shows wanted and new number; Apply posts it, and its answer is shown."""
    server.answer = (200, {"text": "Scaling from 2 to 4 instances."})
    expect(page.locator("#scale-apply")).to_be_disabled()
    page.get_by_role("button", name="One instance more").click(click_count=2)
    apply = page.get_by_role("button", name="Apply 2 → 4")
    server.say(state(uptime_s=99_999.0))
    expect(page.locator("#uptime")).to_have_text("1 d 3 h")
    apply.click()
    expect(page.locator("#outcome")).to_contain_text("Scaling from 2 to 4 instances.")
    assert server.orders == [("scale", {"instances": 4}, "application/json")]
    server.say(state(instances_wanted=4))
    expect(page.locator("#scale-change")).to_have_text("")
    expect(page.get_by_label("Wanted")).to_have_value("4")


def test_scale_takes_a_typed_number_within_bounds(page: Page, server: ScriptedServer) -> None:
    """A typed number is bounded by the most that may be, and Enter applies it."""
    field = page.get_by_label("Wanted")
    field.fill("99")
    expect(page.locator("#scale-change")).to_have_text("2 → 8")
    field.press("Enter")
    expect(page.locator("#outcome")).to_be_visible()
    assert server.orders == [("scale", {"instances": 8}, "application/json")]


def test_restart_asks_first(page: Page, server: ScriptedServer) -> None:
    """Restart says what it does; Cancel sends nothing and gives focus back; yes sends the name."""
    button = row(page, "w1").get_by_role("button", name="Restart w1")
    dialog = page.get_by_role("dialog", name="Restart w1?")
    button.click()
    expect(dialog).to_contain_text("finishes its 1 running chat")
    server.say(state(uptime_s=99_999.0))
    expect(page.locator("#uptime")).to_have_text("1 d 3 h")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_be_hidden()
    expect(button).to_be_focused()
    assert server.orders == []
    button.click()
    dialog.get_by_role("button", name="Restart").click()
    expect(page.locator("#outcome")).to_contain_text("Done.")
    assert server.orders == [("restart", {"name": "w1"}, "application/json")]


def test_a_button_rests_while_its_order_is_under_way(page: Page, server: ScriptedServer) -> None:
    """While an order waits for its answer, the row's buttons are disabled; then they are back."""
    server.hold()
    row(page, "w1").get_by_role("button", name="Drain w1").click()
    page.get_by_role("dialog").get_by_role("button", name="Drain").click()
    expect(row(page, "w1").get_by_role("button", name="Drain w1")).to_be_disabled()
    expect(row(page, "w1").get_by_role("button", name="Restart w1")).to_be_disabled()
    expect(row(page, "w2").get_by_role("button", name="Drain w2")).to_be_enabled()
    wait_until(lambda: len(server.orders) == 1, page)
    server.let_go()
    expect(row(page, "w1").get_by_role("button", name="Drain w1")).to_be_enabled()
    assert server.orders == [("drain", {"name": "w1"}, "application/json")]


def test_an_error_of_the_server_is_shown(
    page: Page, server: ScriptedServer, complaints: list[str]
) -> None:
    """A refused order shows the server's own sentence, which stays until it is dismissed."""
    error = {"message": "There is no child w1.", "type": "invalid_request_error"}
    server.answer = (404, {"error": {**error, "code": None, "param": "name"}})
    row(page, "w1").get_by_role("button", name="Drain w1").click()
    page.get_by_role("dialog").get_by_role("button", name="Drain").click()
    expect(page.locator("#outcome")).to_contain_text("There is no child w1.")
    expect(page.locator("#outcome use")).to_have_attribute("href", "#shape-bad")
    page.get_by_role("button", name="Dismiss").click()
    expect(page.locator("#outcome")).to_be_hidden()
    assert [each for each in complaints if "404" not in each] == []
    complaints.clear()  # Chromium itself reports each refused request


def test_what_is_old_is_called_old_and_the_feed_comes_back(
    page: Page, server: ScriptedServer, complaints: list[str]
) -> None:
    """Without a server the page says for how long; when it is back, so is the feed, by itself."""
    server.shut()
    expect(page.locator("#link-text")).to_contain_text("connection lost")
    expect(page.locator("#link-text")).to_contain_text("ago, trying again")
    expect(page.locator("#verdict-when")).to_contain_text("Last known")
    expect(page.locator("#verdict use")).to_have_attribute("href", "#shape-idle")
    expect(page).to_have_title("Connection lost · arenad")
    server.latest = said(state(verdict="Back again."))
    server.open()
    expect(page.locator("#verdict-sentence")).to_have_text("Back again.")
    expect(page.locator("#link-text")).to_have_text("live")
    assert [each for each in complaints if "/gui/ws" not in each] == []
    complaints.clear()  # Chromium itself reports each refused connection


def test_a_lost_master_is_told(page: Page, server: ScriptedServer) -> None:
    """When the frontend has no master, the page says so and stops claiming that all is well."""
    server.say({"type": "gone", "reason": "the master closed its link"})
    expect(page.locator("#verdict-sentence")).to_have_text("the master closed its link")
    expect(page.locator("#link-text")).to_contain_text("no word from the master")
    expect(page.locator("#verdict use")).to_have_attribute("href", "#shape-idle")
    server.say(state())
    expect(page.locator("#verdict use")).to_have_attribute("href", "#shape-good")


def test_the_empty_page_says_what_to_do(page: Page, server: ScriptedServer) -> None:
    """Without instances there is a next step instead of an empty table."""
    server.say(state(FRONTEND, instances_wanted=0, story=()))
    expect(page.locator("#instances-none")).to_contain_text("Choose a number above")
    expect(page.locator("#instances-box")).to_be_hidden()
    expect(page.locator("#story-none")).to_be_visible()
    server.say(state(FRONTEND, instances_wanted=2))
    expect(page.locator("#instances-soon")).to_be_visible()


def test_text_from_the_daemon_stays_text(page: Page, server: ScriptedServer) -> None:
    """Markup in a reason or a story is shown as it stands."""
    markup = "<img src=x onerror=alert(1)>"
    story = (Happening(at_unix_s=1_700_000_000.0, about="w1", text=markup),)
    server.say(state(worker("w1", last_death=markup), verdict=markup, story=story))
    expect(page.locator("#verdict-sentence")).to_have_text(markup)
    expect(page.locator("#story li")).to_contain_text(markup)
    expect(row(page, "w1").locator("[data-part=death]")).to_have_text(markup)


@pytest.mark.parametrize("width", [320, 360, 700, 1024, 1280])
def test_fits_its_width(page: Page, server: ScriptedServer, width: int) -> None:
    """At no width does the page itself scroll sideways."""
    long_word = "unbroken" * 12
    fallen = worker("w2", phase="failed", last_death=f"exit status 1: {long_word}", condition=None)
    traffic = Traffic(queue_limit=256, answered=99_999, failed=99_999, retried=1_234_567)
    wordy = state(FRONTEND, worker("w1"), fallen, verdict=long_word, site=long_word)
    server.say(replace(wordy, traffic=traffic))
    expect(page.locator("#site")).to_have_text(long_word)
    page.set_viewport_size({"width": width, "height": 800})
    wide = "document.documentElement.scrollWidth"
    wait_until(lambda: page.evaluate(wide) <= width, page)
    tiles = page.locator(".tile").evaluate_all("all => all.map(e => e.scrollWidth - e.clientWidth)")
    assert max(tiles) <= 0
    for button in page.get_by_role("button").all():
        button.scroll_into_view_if_needed()
        expect(button).to_be_in_viewport()


def test_every_button_is_reached_by_keyboard(page: Page) -> None:
    """The Tab key reaches every button and field in the order of the page, each with a visible ring."""
    within = "document.activeElement.ariaLabel || document.activeElement.textContent.trim()"
    reached: list[str] = []
    expected = page.get_by_role("button").count() + page.get_by_role("link").count()
    page.locator("#scale-count").focus()
    page.keyboard.press("Shift+Tab")
    while page.evaluate("document.activeElement.matches('a, button, input, [tabindex]')"):
        reached.append(page.evaluate(within) or "")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        assert len(reached) <= expected + 4, "Tab goes round in circles"
        page.keyboard.press("Tab")
    for name in ("One instance fewer", "One instance more", "Apply", "Restart w1", "Drain w1"):
        assert name in reached
    assert "View the page of w1" in reached
    assert reached.index("Drain w1") < reached.index("Restart w2") < reached.index("Drain w2")


def test_an_order_is_given_by_keyboard_alone(page: Page, server: ScriptedServer) -> None:
    """Enter opens the question with Cancel focused; Tab and Enter say yes; Escape says no."""
    button = row(page, "w2").get_by_role("button", name="Drain w2")
    button.press("Enter")
    expect(page.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Escape")
    expect(button).to_be_focused()
    button.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    wait_until(lambda: len(server.orders) == 1, page)
    assert server.orders == [("drain", {"name": "w2"}, "application/json")]
