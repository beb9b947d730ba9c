"""The other chat pages in a real Chromium: each shows what its transport brought."""

import re
from collections.abc import Iterator

import pytest
from demo_browser import address, browser  # noqa: F401 - fixtures
from playwright.sync_api import Browser, Page, expect

from arenad.demo import models
from arenad.demo.other import pages

NAMES = [each.name for each in pages.TRANSPORTS]
DONE = "article[data-role=assistant][data-status=done]"
EXACT = [name for name in NAMES if name != "dom"]

MARKDOWN = """# Title

Some **bold**, *soft* and `code` — <b>no markup</b>.

- one
- two
  1. deep

> quoted

| n | meaning |
| ---: | :--- |
| 1 | `a` |

```python
print("x")
```
"""


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:  # noqa: F811 - fixtures
    """A fresh visitor; a script error or a blocked resource is a failure."""
    context = browser.new_context(base_url=address)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda line: faults.append(line.text) if line.type == "error" else None)
    yield page
    context.close()
    assert faults == []


def _ask(page: Page, prompt: str, model: str) -> None:
    page.get_by_label("Model").select_option(model)
    page.locator("textarea").fill(prompt)
    page.get_by_role("button", name="Send message").click()


@pytest.mark.parametrize("name", NAMES)
def test_a_talk_of_two_turns(page: Page, name: str) -> None:
    """The second answer knows the first turn, and a new chat knows nothing."""
    page.goto(f"/other/{name}")
    expect(page.get_by_role("button", name="Send message")).to_be_disabled()
    _ask(page, "My name is Ada.", "demo-eliza")
    expect(page.locator(DONE)).to_have_count(1)
    _ask(page, "What is my name?", "demo-eliza")
    expect(page.locator(DONE).nth(1)).to_contain_text("Ada")
    page.get_by_role("link", name="New chat").click()
    expect(page.locator("article")).to_have_count(0)


@pytest.mark.parametrize("name", EXACT)
def test_an_answer_is_shown_exactly(page: Page, name: str) -> None:
    """Pages that show plain text show every character."""
    page.goto(f"/other/{name}")
    _ask(page, "60000 4", "demo-long")
    expect(page.locator(DONE)).to_have_count(1, timeout=60_000)  # fonts of many scripts
    text = page.locator(f"{DONE} .text").evaluate("e => e.textContent")
    assert text == models.long_text(60_000, 4)


@pytest.mark.parametrize("name", NAMES)
def test_stop_ends_the_answer(page: Page, name: str) -> None:
    """The button is there while an answer runs; then the page is ready for the next prompt."""
    page.goto(f"/other/{name}")
    _ask(page, "never said", "demo-slow-start")
    page.get_by_role("button", name="Stop generation").click()
    expect(page.locator("article[data-role=assistant]:not([data-status=running])")).to_have_count(1)
    expect(page.get_by_role("button", name="Stop generation")).to_be_hidden()
    page.wait_for_function("async () => (await (await fetch('/demo/stats')).json()).running === 0")


def test_markdown_becomes_html(page: Page) -> None:
    """Headings, lists in lists, quotes, tables and code; markup in the text stays text."""
    page.goto("/other/dom")
    _ask(page, MARKDOWN, "demo-echo")
    answer = page.locator(f"{DONE} > .text")
    expect(answer.locator("h1")).to_have_text("Title")
    expect(answer.locator("p strong")).to_have_text("bold")
    expect(answer.locator("p em")).to_have_text("soft")
    expect(answer.locator("ul > li > ol > li")).to_have_text("deep")
    expect(answer.locator("blockquote p")).to_have_text("quoted")
    expect(answer.locator("td code")).to_have_text("a")
    expect(answer.locator("pre code.language-python")).to_have_text('print("x")\n')
    expect(answer.locator("b")).to_have_count(0)
    expect(answer.locator("p").first).to_contain_text("<b>no markup</b>")


def test_markdown_that_grows_is_markdown_at_once(page: Page) -> None:
    """What came in many pieces and what came in one look the same."""
    page.goto("/other/dom")
    text = models.long_text(20_000, 9)
    shown: list[str] = []
    for model in ("demo-echo-instant", "demo-echo"):
        _ask(page, text, model)
        expect(page.locator(DONE)).to_have_count(len(shown) + 1, timeout=60_000)
        shown.append(page.locator(f"{DONE} > .text").nth(len(shown)).inner_html())
    assert shown[0] == shown[1]
    assert len(re.findall("<table>", shown[0])) > 0


def test_the_network_says_nothing_of_the_dom_page(page: Page) -> None:
    """No frame of its socket has the answer's text in it."""
    frames: list[bytes] = []
    page.on(
        "websocket",
        lambda socket: socket.on("framereceived", lambda frame: frames.append(frame)),  # noqa: PLW0108 - Playwright marks it
    )
    page.goto("/other/dom")
    _ask(page, "confidential", "demo-echo")
    expect(page.locator(DONE)).to_contain_text("confidential")
    assert len(frames) >= 3
    assert not any(b"confidential" in frame for frame in frames)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("width", [320, 1200])
def test_nothing_is_wider_than_the_page(page: Page, name: str, width: int) -> None:
    """From a small phone up, nothing has to be scrolled sideways."""
    page.set_viewport_size({"width": width, "height": 640})
    page.goto(f"/other/{name}")
    _ask(page, "4000 2", "demo-long")
    expect(page.locator(DONE)).to_have_count(1)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
