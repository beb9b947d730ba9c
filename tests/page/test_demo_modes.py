"""The arena's page in every mode and variant, in a real Chromium, with a person's clicks."""

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from demo_browser import address, browser  # noqa: F401 - fixtures
from playwright.sync_api import Browser, Page, Request, expect

from arenad.demo.drawing import picture
from arenad.demo.variants import VARIANTS

DONE = "article[data-role=assistant][data-status=done]"
DATED = [name for name in VARIANTS if name != "demo"]


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:  # noqa: F811 - fixtures
    """A fresh visitor who has agreed to the terms; an error in a script is a failure."""
    context = browser.new_context(base_url=address)
    context.add_init_script("localStorage.setItem('arena-terms-agreed', '1')")
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda line: faults.append(line.text) if "Policy" in line.text else None)
    yield page
    context.close()
    assert faults == []


def _ask(page: Page, prompt: str) -> None:
    page.locator("textarea").fill(prompt)
    page.get_by_role("button", name="Send message").click()


def _pick(page: Page, model: str, label: str = "Model") -> None:
    picker = page.get_by_role("combobox", name=label, exact=True)
    picker.click()
    page.keyboard.type(model)
    page.keyboard.press("Enter")
    expect(picker).to_have_text(model)


def _bodies(page: Page) -> list[tuple[str, dict[str, Any]]]:
    """Path and body of every message that the page will send, as it sends them."""
    seen: list[tuple[str, dict[str, Any]]] = []

    def note(request: Request) -> None:
        if "/stream/" in request.url and request.post_data:
            seen.append((request.url.partition("/stream/")[0], json.loads(request.post_data)))

    page.on("request", note)
    return seen


@pytest.mark.parametrize("name", DATED)
def test_each_page_speaks_its_variant(page: Page, name: str) -> None:
    """Prefix, form, box and way to a new chat are those of its date, follow-ups included."""
    variant = VARIANTS[name]
    bodies = _bodies(page)
    page.goto(f"/?demo-variant={name}")
    page.goto(variant.ways.direct)
    expect(page.locator('textarea[name="text"]')).to_have_count(1 if variant.box_name else 0)
    _ask(page, "My name is Ada.")
    expect(page.locator(DONE)).to_have_count(1)
    expect(page).to_have_url(re.compile("/c/[0-9a-f-]{36}$"))
    _ask(page, "What is my name?")
    expect(page.locator(DONE).nth(1)).to_contain_text("Ada")
    prefixes = {prefix.rpartition(":")[2].partition("/")[2] for prefix, _ in bodies}
    assert prefixes == {variant.stream.split("/")[1]}
    form = "messages" if 1 in variant.forms else "userMessage"
    assert all(form in body for _, body in bodies)
    if form == "messages":
        roles = [each["role"] for each in bodies[1][1]["messages"]]
        assert roles == ["user", "assistant"] * 2
    page.reload()
    expect(page.locator(DONE)).to_have_count(2)
    page.get_by_role("link", name="New chat").click()
    expect(page.locator("article")).to_have_count(0)
    assert page.evaluate("location.pathname + location.search") == variant.ways.direct


def test_two_models_side_by_side(page: Page) -> None:
    """Two pickers, two columns, one follow-up to both; a reload shows the same."""
    page.goto("/text/side-by-side")
    _pick(page, "demo-echo", "Model A")
    _pick(page, "demo-reasoning", "Model B")
    _ask(page, "one two")
    expect(page.locator(f"{DONE}[data-side=a] .text")).to_have_text("one two")
    expect(page.locator(f"{DONE}[data-side=b] > .text")).to_have_text("one two")
    expect(page.locator(".pair article")).to_have_count(2)
    _ask(page, "three")
    expect(page.locator(DONE)).to_have_count(4)
    page.reload()
    expect(page.locator(DONE)).to_have_count(4)
    expect(page.locator(".pair")).to_have_count(2)
    expect(page.locator(f"{DONE} h2").nth(1)).to_have_text("demo-reasoning")


def test_a_battle_names_nobody(page: Page) -> None:
    """No picker, no names, buttons for a vote that is cast by a person alone."""
    bodies = _bodies(page)
    page.goto("/text/battle")
    expect(page.get_by_role("combobox")).to_have_count(0)
    _ask(page, "Hello")
    expect(page.locator(DONE)).to_have_count(2)
    expect(page.locator(f"{DONE} h2")).to_have_text(["Model A", "Model B"])
    assert "modelAId" not in bodies[0][1]
    page.reload()
    expect(page.locator(f"{DONE} h2")).to_have_text(["Model A", "Model B"])
    page.get_by_role("button", name="It’s a tie").click()
    expect(page.locator(f"{DONE} h2").first).to_have_text(re.compile("^demo-"))


def test_two_answers_are_skipped(page: Page) -> None:
    """A second answer that nobody asked for; sending waits for the skip."""
    page.goto("/text/direct")
    _ask(page, "Hello [[demo:direct-battle]]")
    expect(page.locator(DONE)).to_have_count(2)
    page.locator("textarea").fill("on")
    expect(page.get_by_role("button", name="Send message")).to_be_disabled()
    page.get_by_role("button", name="Skip").click()
    expect(page.locator(DONE)).to_have_count(1)
    _ask(page, "on we go")
    expect(page.locator(DONE)).to_have_count(2)


def test_pictures_and_sources_are_shown(page: Page) -> None:
    """The image page begins with an image model, the search page with one that cites."""
    page.goto("/image/direct")
    _ask(page, "a house")
    image = page.get_by_role("img", name="Generated image")
    expect(image).to_have_js_property("naturalWidth", 256)
    page.reload()
    expect(image).to_have_js_property("naturalWidth", 256)
    page.goto("/search/direct")
    _ask(page, "a house")
    expect(page.locator(".sources a")).to_have_count(2)


@pytest.mark.parametrize("name", ["demo", "2025-07"])
def test_chosen_files_arrive_whole(page: Page, name: str) -> None:
    """Uploaded in three steps, or within the body as older pages did it."""
    drawn = picture("a file")
    page.goto(f"/?demo-variant={name}")
    _pick(page, "demo-files")
    page.get_by_label("Attach files").set_input_files(
        [{"name": "bild ü.png", "mimeType": "image/png", "buffer": drawn}]
    )
    expect(page.locator("#attached li[aria-busy=false]")).to_have_count(1)
    _ask(page, "what is this?")
    heard = json.loads(page.locator(f"{DONE} .text").inner_text())
    assert heard["sha256"] == hashlib.sha256(drawn).hexdigest()
    assert (heard["name"], heard["bytes"]) == ("bild ü.png", len(drawn))
    expect(page.locator(".sent-files img")).to_have_js_property("naturalWidth", 256)


def test_a_pasted_file_is_uploaded(page: Page) -> None:
    """And can be removed before it is sent."""
    page.goto("/text/direct")
    page.locator("textarea").evaluate(
        """(box) => {
            const files = new DataTransfer();
            files.items.add(new File(["hello"], "note.txt", { type: "text/plain" }));
            box.dispatchEvent(new ClipboardEvent("paste", { clipboardData: files, bubbles: true }));
        }"""
    )
    expect(page.locator("#attached li[aria-busy=false]")).to_have_text("note.txt×")
    page.get_by_role("button", name="Remove note.txt").click()
    expect(page.locator("#attached li")).to_have_count(0)


def test_a_failed_upload_is_told(page: Page) -> None:
    """The file goes, the words stay."""
    page.goto("/text/direct?demo-fault=upload-refused")
    page.get_by_label("Attach files").set_input_files(
        [{"name": "a.txt", "mimeType": "text/plain", "buffer": b"x"}]
    )
    expect(page.get_by_role("alert")).to_contain_text("a.txt: AccessDenied")
    expect(page.locator("#attached li")).to_have_count(0)


def test_a_person_passes_the_check_in_the_page(page: Page) -> None:
    """The message that met the check is sent after the click; the next one meets none."""
    page.goto("/text/direct?demo-fault=403-check")
    _ask(page, "Hello")
    page.get_by_role("dialog").get_by_label("I am a person").click()
    expect(page.locator(DONE)).to_have_count(1)
    _ask(page, "again")
    expect(page.locator(DONE)).to_have_count(2)


def test_a_person_passes_the_check_of_the_edge(page: Page) -> None:
    """The page that was wanted comes after the click."""
    page.goto("/text/direct?demo-fault=challenge")
    expect(page).to_have_title("Just a moment…")
    assert page.evaluate("'_cf_chl_opt' in window")
    page.get_by_label("I am a person").click()
    expect(page.locator("textarea")).to_have_count(1)
    _ask(page, "Hello")
    expect(page.locator(DONE)).to_have_count(1)


def test_a_person_logs_in(page: Page) -> None:
    """Back to where the wall stood; when the login ends, the page says so and leads there."""
    page.goto("/text/direct?demo-fault=login")
    expect(page).to_have_url(re.compile("/login"))
    page.get_by_label("Name").fill("demo")
    page.get_by_label("Password").fill("demo")
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("textarea")).to_have_count(1)
    _ask(page, "Hello [[demo:401-expired]]")
    expect(page.get_by_role("alert")).to_contain_text("log in to use this mode")
    page.get_by_role("link", name="Log in").click()
    expect(page).to_have_url(re.compile("/login"))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("cut=80", "The answer broke off."),
        ("no-finish", "The answer broke off."),
        ("model-error", "overloaded"),
        ("platform-error", "stopped by the platform"),
        ("arena-error", "Something went wrong"),
        ("error-object", "something went wrong"),
        ("429=5", "rate limit exceeded"),
    ],
)
def test_a_fault_is_said_aloud(page: Page, fault: str, words: str) -> None:
    """Each in an alert within the answer; then the page is ready again."""
    page.goto("/text/direct")
    _ask(page, f"some words to say [[demo:{fault}]]")
    expect(page.get_by_role("alert").first).to_contain_text(words)
    page.locator("textarea").fill("again")
    expect(page.get_by_role("button", name="Send message")).to_be_enabled()


@pytest.mark.parametrize("path", ["/text/side-by-side", "/text/battle"])
@pytest.mark.parametrize("width", [320, 1200])
def test_nothing_is_wider_than_the_page(page: Page, path: str, width: int) -> None:
    """Two columns where there is room, else one below the other."""
    page.set_viewport_size({"width": width, "height": 640})
    page.goto(path)
    _ask(page, "Some " + "long " * 40)
    expect(page.locator(DONE)).to_have_count(2)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    boxes = [page.locator(DONE).nth(place).bounding_box() for place in (0, 1)]
    assert boxes[0] is not None
    assert boxes[1] is not None
    assert (boxes[0]["y"] == boxes[1]["y"]) is (width > 700)


def test_a_page_follows_the_move(page: Page) -> None:
    """The old name leads to the new one, where the visitor is a stranger, and talks."""
    page.goto("/text/direct?demo-fault=moved")
    expect(page).to_have_url(re.compile(r"^http://localhost:\d+/text/direct"))
    _ask(page, "Hello")
    expect(page.locator(DONE)).to_have_count(1)
