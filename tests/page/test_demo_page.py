"""The demo arena's page in a real Chromium: every landmark that the profile relies on."""

import re
from collections.abc import Iterator

import pytest
from demo_browser import address, browser  # noqa: F401 - fixtures
from playwright.sync_api import Browser, Page, expect

from arenad.demo import models

PUT = """(box, text) => {
    box.value = text;
    box.dispatchEvent(new InputEvent("input", { bubbles: true }));
}"""
"""Fills the box at once: Chromium takes minutes to type a megabyte of many lines into any page."""

DONE = "article[data-role=assistant][data-status=done]"


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:  # noqa: F811 - fixtures
    """A fresh visitor's page, past the terms; a script error or a blocked resource is a failure."""
    context = browser.new_context(base_url=address)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda line: faults.append(line.text) if "Policy" in line.text else None)
    page.goto("/text/direct")
    page.get_by_role("dialog").get_by_role("button", name="Agree").click()
    yield page
    context.close()
    assert faults == []


def _ask(page: Page, prompt: str, model: str | None = None) -> None:
    if model is not None:
        page.get_by_role("combobox", name="Model").click()
        page.keyboard.type(model)
        page.locator(f'[role=option][data-model="{model}"]').click()
    page.locator('textarea[name="text"]').evaluate(PUT, prompt)
    page.get_by_role("button", name="Send message").click()


def test_terms_are_asked_once(page: Page) -> None:
    """Who agreed is not asked again."""
    page.reload()
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_landmarks_are_there_once(page: Page) -> None:
    """The box, the buttons and the picker, each exactly once; the send button waits for words."""
    for landmark in (
        'textarea[name="text"]',
        'button[type=submit][aria-label="Send message"]',
        "button[type=submit]",
        'button[aria-label="Stop generation"]',
        'button[role=combobox][aria-label="Model"]',
        'a[href="/text/direct"][aria-label="New chat"]',
    ):
        expect(page.locator(landmark)).to_have_count(1)
    expect(page.get_by_role("button", name="Send message")).to_be_disabled()
    expect(page.get_by_role("button", name="Stop generation")).to_be_hidden()


def test_a_talk_has_an_address(page: Page) -> None:
    """The first answer moves the page to the chat's address, where it is found again."""
    _ask(page, "My name is Ada.")
    expect(page.locator(DONE)).to_have_count(1)
    expect(page).to_have_url(re.compile(r"/c/[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-"))
    _ask(page, "What is my name?")
    expect(page.locator(DONE).nth(1)).to_contain_text("Ada")
    page.reload()
    expect(page.locator(DONE)).to_have_count(2)


def test_keys_send_and_break_lines(page: Page) -> None:
    """Enter sends; with Shift it begins a line."""
    page.get_by_role("combobox", name="Model").press("ArrowDown")
    page.keyboard.type("echo-i")
    page.keyboard.press("Enter")
    box = page.locator('textarea[name="text"]')
    expect(box).to_be_focused()
    page.keyboard.type("one")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("two")
    expect(box).to_have_value("one\ntwo")
    page.keyboard.press("Enter")
    expect(page.locator(DONE)).to_contain_text("one\ntwo")


def test_stop_reaches_the_site(page: Page, address: str) -> None:  # noqa: F811 - a fixture
    """The stop button is there while an answer runs, and ends it at the site."""
    before = page.request.get(f"{address}/demo/stats").json()["stopped"]
    _ask(page, "never said", "demo-slow-start")
    expect(page.get_by_role("button", name="Send message")).to_be_disabled()
    page.get_by_role("button", name="Stop generation").click()
    expect(page.locator(DONE)).to_have_count(1)
    expect(page.get_by_role("button", name="Stop generation")).to_be_hidden()
    assert page.request.get(f"{address}/demo/stats").json()["stopped"] == before + 1


def test_new_chat_leaves_nothing_behind(page: Page, address: str) -> None:  # noqa: F811 - a fixture
    """Without a reload, the page is as new, and the running answer is given up."""
    page.evaluate("window.sameDocument = true")
    before = page.request.get(f"{address}/demo/stats").json()["left"]
    _ask(page, "never said", "demo-slow-start")
    expect(page).to_have_url(re.compile("/c/"))
    page.get_by_role("link", name="New chat").click()
    expect(page).to_have_url(f"{address}/text/direct")
    expect(page.locator("article")).to_have_count(0)
    expect(page.get_by_role("combobox", name="Model")).to_have_text("demo-eliza")
    page.wait_for_function(
        "async (n) => (await (await fetch('/demo/stats')).json()).left === n", arg=before + 1
    )
    assert page.evaluate("window.sameDocument")
    _ask(page, "Hello")
    expect(page.locator(DONE)).to_have_count(1)


def test_markup_in_an_answer_stays_text(page: Page) -> None:
    """Markdown becomes elements, markup does not."""
    prompt = '# Title\n\n- **a**\n- b\n\n```\n<b>x</b>\n```\n<img src=x onerror="window.hurt=1">'
    _ask(page, prompt, "demo-echo-instant")
    answer = page.locator(DONE)
    expect(answer.locator("h3")).to_have_text("Title")
    expect(answer.locator("li")).to_have_count(2)
    expect(answer.locator("strong")).to_have_text("a")
    expect(answer.locator("pre code")).to_have_text("<b>x</b>")
    expect(answer.locator("img")).to_have_count(0)
    assert page.evaluate("window.hurt === undefined")


def test_a_long_answer_is_shown_exactly(page: Page) -> None:
    """Two megabytes arrive in the page to the last character."""
    _ask(page, "2000000 5", "demo-long")
    answer = page.locator(DONE)
    expect(answer).to_have_count(1, timeout=60_000)
    assert answer.locator(".text").evaluate("e => e.textContent") == models.long_text(2_000_000, 5)


GROW = """async ([chunks, chunk]) => {
    const { GrowingText } = await import("/demo/turns.js");
    const shown = document.createElement("div");
    const text = new GrowingText(shown);
    for (let count = 0; count < chunks; count++) text.append(chunk);
    return [...shown.children].map((block) => block.textContent);
}"""


def test_a_growing_text_is_shown_in_small_blocks(page: Page) -> None:
    """What is laid out anew with each chunk stays small; a line that ends in time is not cut."""
    line = "word " * 40 + "\n"
    blocks = page.evaluate(GROW, [500, line])
    assert "".join(blocks) == line * 500
    assert max(map(len, blocks)) <= 8 * 1024
    assert all(block.endswith("\n") for block in blocks)
    assert len(page.evaluate(GROW, [100, "x" * 1000])) == 1
    assert len(page.evaluate(GROW, [200, "x" * 1000])) == 2


def test_a_megabyte_prompt_is_workable(page: Page) -> None:
    """A prompt of a megabyte can be filled in, sent, and comes back exactly."""
    prompt = models.long_text(1_000_000, 8)
    _ask(page, prompt, "demo-echo-instant")
    answer = page.locator(DONE)
    expect(answer).to_have_count(1, timeout=60_000)
    assert answer.locator(".text").evaluate("e => e.textContent") == prompt


def test_a_refusal_is_an_alert(page: Page) -> None:
    """What the site refuses is said aloud, and the words are back in the box."""
    prompt = "x" * (4 * 1024 * 1024 + 1)
    _ask(page, prompt)
    expect(page.get_by_role("alert")).to_contain_text("prompt too long")
    expect(page.get_by_role("button", name="Send message")).to_be_enabled()
    expect(page).to_have_url(re.compile("/text/direct$"))


def test_a_forgotten_chat_is_told(page: Page) -> None:
    """An address of a chat that is gone says so, and a new one can be begun from there."""
    page.goto("/c/01a205c7-4831-7df9-9d9f-17a3519e3e3a")
    expect(page.get_by_role("alert")).to_contain_text("unknown session")
    _ask(page, "Hello")
    expect(page.locator(DONE)).to_have_count(1)


@pytest.mark.parametrize("width", [320, 1200])
def test_nothing_is_wider_than_the_page(page: Page, width: int) -> None:
    """From a small phone up, nothing has to be scrolled sideways."""
    page.set_viewport_size({"width": width, "height": 640})
    _ask(page, "8000 2", "demo-long")
    expect(page.locator(DONE)).to_have_count(1)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("#talk").evaluate("e => e.scrollWidth - e.clientWidth") <= 0
