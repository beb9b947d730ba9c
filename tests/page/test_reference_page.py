"""The page that shows the OpenAPI document, in a real browser, served as the endpoint serves it."""

import asyncio
import threading
from collections.abc import Iterator

import documented
import pytest
from aiohttp import web
from demo_browser import browser  # noqa: F401 - a fixture
from playwright.sync_api import Browser, Page, expect

from arenad.frontend import guard
from arenad.frontend.api import VOCABULARIES, scope_of
from arenad.frontend.reference import Reference

DEADLINE_S = 20.0


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The document and its page behind the endpoint's own guard, in a thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    app = guard.application(lambda *_: None)
    app.add_routes(Reference(VOCABULARIES, scope_of).routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)

    async def begin() -> int:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner.addresses[0][1]

    port = asyncio.run_coroutine_threadsafe(begin(), loop).result(DEADLINE_S)
    yield f"http://127.0.0.1:{port}"
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(DEADLINE_S)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(DEADLINE_S)
    loop.close()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:  # noqa: F811 - a fixture
    """The page, read; nothing of it may break the policy, or go elsewhere."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(DEADLINE_S * 1000)
    opened = context.new_page()
    complaints: list[str] = []
    asked: list[str] = []
    opened.on("console", lambda line: complaints.append(line.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(f"{address}/docs")
    expect(opened.locator("#standing")).to_be_hidden()
    yield opened
    context.close()
    assert complaints == []
    assert [url for url in asked if not url.startswith(address)] == []


def test_every_operation_is_shown(page: Page) -> None:
    """In the contents and below, in the order of the document; HEAD is the same as GET."""
    told = [
        f"{method.upper()} {path}"
        for path, methods in documented.DOCUMENT["paths"].items()
        for method in methods
        if method != "head"
    ]
    expect(page.locator("#contents a")).to_have_text(told)
    expect(page.locator("#operations h3")).to_have_text(told)


def test_every_field_is_shown_with_its_rule(page: Page) -> None:
    """As the tables say it."""
    for path, words in VOCABULARIES.items():
        name = documented.taken(path)["$ref"].rpartition("/")[2]
        shape = page.locator(f"[id='shape-{name}'] tbody")
        expect(shape.locator("th")).to_have_text(list(words.fields))
        rules = shape.locator("tr td:last-child").all_text_contents()
        assert [rule.partition(":")[0] for rule in rules] == [f.rule for f in words.fields.values()]


def test_every_link_leads_somewhere(page: Page) -> None:
    """From a body to its shape, and from there to those within it."""
    targets = page.locator("main a[href^='#']").evaluate_all("all => all.map(e => e.hash.slice(1))")
    ids = set(page.locator("[id]").evaluate_all("all => all.map(e => e.id)"))
    assert len(targets) > 100
    assert set(targets) - ids == set()


def test_a_status_says_why_and_as_what(page: Page) -> None:
    """Errors of both makers' shapes."""
    row = page.locator("#messages tr", has=page.get_by_role("rowheader", name="529"))
    expect(row).to_contain_text("no_instance_available")
    expect(row).to_contain_text("application/json: AnthropicError")
    expect(row).to_contain_text("Retry-After")
    stream = page.locator("#chat_completions tr", has=page.get_by_role("rowheader", name="200"))
    expect(stream).to_contain_text(
        "text/event-stream, events: ChatChunk or OpenAIError; ends with [DONE]"
    )


@pytest.mark.parametrize("width", [320, 700, 1280])
def test_it_fits_its_width(page: Page, width: int) -> None:
    """Tables scroll in their boxes, the page does not."""
    page.set_viewport_size({"width": width, "height": 800})
    page.evaluate("new Promise(requestAnimationFrame)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_document_that_cannot_be_read_is_told(page: Page, address: str) -> None:
    """Instead of an empty page."""
    page.route("**/openapi.json", lambda route: route.fulfill(status=299, body="no JSON"))
    page.goto(f"{address}/docs")
    expect(page.get_by_role("status")).to_contain_text("openapi.json cannot be read")
