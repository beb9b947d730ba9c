"""Files into the demo arena through its page, and images out of it, in a real Chromium."""

import asyncio
import base64
import hashlib
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import aiohttp
import pytest
from aiohttp import web
from msgspec.structs import replace
from real_browser import browser_in, demo_profile, page_in, serving, serving_demo, tell, until

from arenad.conversation import key_of
from arenad.demo.drawing import picture
from arenad.errors import InvalidRequest, ProfileOutdated, RequestError, UpstreamFailed
from arenad.schema.chat import Attachment, Chat, Event, Finish, Image, TextDelta, Turn
from arenad.schema.profile import Limits, Profile, Step
from arenad.worker import file_input
from arenad.worker.page import Page
from arenad.worker.page_port import PagePort
from arenad.worker.sites.driver import Driver
from arenad.worker.sites.page_driven import PageSite
from arenad.worker.sites.pictures import bringing
from arenad.worker.sites.upload import Upload

PICTURE = Attachment(name="rings.png", content_type="image/png", content=picture("rings"))
NOTES = Attachment(name="notes é.txt", content_type="text/plain", content=b"a\r\nb\x00" * 70_000)
VARIANTS = {
    "demo": "/text/direct?x",
    "2025-07": "/?mode=direct",
    "2025-08": "/?mode=direct",
    "2025-09": "/?mode=direct",
    "2025-11": "/?mode=direct",
    "2026": "/text/direct?x",
}


def _chat(model: str, *files: Attachment, text: str = "look", image_bytes: int = 0) -> Chat:
    turn = Turn(role="user", text=text, attachments=files)
    return Chat("r1", model, (turn,), 30.0, 30.0, 50.0, image_bytes=image_bytes)


async def _events(site: PageSite, wish: Chat) -> list[Event]:
    events: list[Event] = []

    async def emit(event: Event) -> None:
        events.append(event)

    assert await site.chat(wish, emit) == Finish("stop")
    return events


async def _received(site: PageSite, wish: Chat) -> list[dict[str, object]]:
    """What the arena says that it got, one line of JSON for each file."""
    events = await _events(site, wish)
    said = "".join(event.text for event in events if isinstance(event, TextDelta))
    return [json.loads(line) for line in said.splitlines()]


def _told(file: Attachment) -> dict[str, object]:
    return {
        "name": file.name,
        "type": file.content_type,
        "bytes": len(file.content),
        "sha256": hashlib.sha256(file.content).hexdigest(),
    }


@asynccontextmanager
async def _site(folder: Path, profile: Profile) -> AsyncIterator[tuple[PageSite, str]]:
    """The demo arena's page, opened; after each story nothing is left of the files."""
    scratch = folder / "files"
    scratch.mkdir()
    async with serving_demo() as address, browser_in(folder) as browser:
        site = PageSite(await Page.create(browser.devtools), profile, address, scratch)
        await site.open()
        yield site, address
        assert list(scratch.iterdir()) == []


def _in_variant(name: str) -> Profile:
    return replace(demo_profile(), start_path=f"{VARIANTS[name]}&demo-variant={name}")


def test_files_reach_each_dated_variant_to_the_byte(tmp_path: Path) -> None:
    """Uploaded in three steps or put into the body: name, type, size and hash are what was sent."""

    async def story() -> None:
        async with serving_demo() as address, browser_in(tmp_path) as browser:
            for name in VARIANTS:
                page = await Page.create(browser.devtools)
                site = PageSite(page, _in_variant(name), address, tmp_path)
                await site.open()
                got = await _received(site, _chat("demo-files", PICTURE, NOTES))
                assert got == [_told(PICTURE), _told(NOTES)], name
                got = await _received(site, _chat("demo-files", PICTURE))
                assert got == [_told(PICTURE)], "a second message takes only its own"

    tell(story())
    assert not list(tmp_path.glob("upload-*"))


@pytest.mark.parametrize(
    "way", [Step(paste="prompt"), Step(choose=".attach")], ids=["paste", "dialog"]
)
def test_other_ways_in(tmp_path: Path, way: Step) -> None:
    """Pasted onto the prompt, or chosen in the dialog that a press on the label opens."""

    async def story() -> None:
        async with _site(tmp_path, replace(demo_profile(), attach=(way,))) as (site, _):
            got = await _received(site, _chat("demo-files", PICTURE, NOTES))
            assert got == [_told(PICTURE), _told(NOTES)]

    tell(story())


def test_files_of_earlier_turns_go_along(tmp_path: Path) -> None:
    """A folded conversation brings them all, in order; two of one name are two files."""

    async def story() -> None:
        async with _site(tmp_path, demo_profile()) as (site, _):
            other = replace(PICTURE, content=picture("other"))
            turns = (
                Turn(role="user", text="one", attachments=(PICTURE,)),
                Turn(role="assistant", text="seen"),
                Turn(role="user", text="two", attachments=(other, NOTES)),
            )
            wish = replace(_chat("demo-files"), turns=turns)
            assert await _received(site, wish) == [_told(PICTURE), _told(other), _told(NOTES)]

    tell(story())


def test_a_chat_that_takes_no_more_leaves_no_files(tmp_path: Path) -> None:
    """They are attached twice, to the full chat and to the new one; the story's end looks for them."""

    async def story() -> None:
        async with _site(tmp_path, demo_profile()) as (site, address):
            first = Turn(role="user", text="one")
            told = await _events(site, _chat("demo-files", text="one"))
            said = "".join(event.text for event in told if isinstance(event, TextDelta))
            turns = (first, Turn(role="assistant", text=said))
            key = key_of("demo-files", turns)
            assert site._shelf.keys == (key,)
            await _fault(address, "full=1")
            wish = replace(_chat("demo-files", PICTURE), conversation=key)
            wish = replace(wish, turns=(*turns, *wish.turns))
            assert await _received(site, wish) == [_told(PICTURE)]

    tell(story())


def test_uploads_that_fail_are_told(tmp_path: Path) -> None:
    """The site's own words; what was left in the page never goes with a later message."""

    async def story() -> None:
        async with _site(tmp_path, demo_profile()) as (site, address):
            for fault in ("stale-action", "upload-refused"):
                await _fault(address, fault)
                with pytest.raises(UpstreamFailed, match=r"did not take a file: \S"):
                    await _events(site, _chat("demo-files", PICTURE, NOTES))
                await _fault(address, "")
                assert await _received(site, _chat("demo-files", NOTES)) == [_told(NOTES)]

    tell(story())


async def _fault(address: str, faults: str) -> None:
    body = {"faults": faults}
    async with aiohttp.request("PUT", f"{address}/demo/faults", json=body) as response:
        assert response.status == 200


def test_an_upload_that_never_shows_is_an_error(tmp_path: Path) -> None:
    """It is not sent without its file; the next message begins on a clean page."""

    async def story() -> None:
        marks = replace(demo_profile().landmarks, uploaded="#no-such-list li")
        profile = replace(demo_profile(), landmarks=marks, limits=Limits(upload_s=0.5))
        async with _site(tmp_path, profile) as (site, _):
            with pytest.raises(
                UpstreamFailed, match=r"did not show 1 uploaded files within 0\.5 s"
            ):
                await _events(site, _chat("demo-files", PICTURE))
            said = await _events(site, _chat("demo-files"))
            assert [each for each in said if isinstance(each, TextDelta)] != []

    tell(story())


def test_a_cancel_in_an_upload_leaves_nothing(tmp_path: Path) -> None:
    """Neither in the page nor on disk."""

    async def story() -> None:
        async with _site(tmp_path, demo_profile()) as (site, _):
            asked = asyncio.ensure_future(_events(site, _chat("demo-files", PICTURE)))
            await until(lambda: any((tmp_path / "files").iterdir()))
            asked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asked
            assert await site.stop()
            assert await _received(site, _chat("demo-files", NOTES)) == [_told(NOTES)]

    tell(story())


class _Slow(list[Attachment]):
    """Files of which the last comes only when it is let."""

    is_begun, go_on = threading.Event(), threading.Event()

    def __iter__(self) -> Iterator[Attachment]:
        yield self[0]
        self.is_begun.set()
        self.go_on.wait(10.0)
        yield self[1]


def test_files_of_a_chat_that_was_given_up_do_not_stay(tmp_path: Path) -> None:
    """A thread cannot be cancelled: what it lays out after the end of its chat it takes away."""
    files = _Slow([PICTURE, NOTES])

    async def story() -> None:
        upload = Upload(tmp_path)
        page = cast("PagePort", None)  # nothing is done to it by then
        driver = Driver(page, demo_profile(), "http://127.0.0.1/")
        asked = asyncio.ensure_future(upload.attach(page, driver, driver.profile, files))
        await asyncio.to_thread(files.is_begun.wait)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        upload.clear()
        files.go_on.set()

    tell(story())  # whose end waits for its threads
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_takes_no_files_says_so(tmp_path: Path) -> None:
    """The page tells which models take images: the others are refused before anything is sent."""

    async def story() -> None:
        async with _site(tmp_path, demo_profile()) as (site, _):
            with pytest.raises(InvalidRequest, match="demo-echo, which takes no files") as told:
                await _events(site, _chat("demo-echo", PICTURE))
            assert told.value.param == "model"

    tell(story())


def test_a_place_that_is_no_way_in(tmp_path: Path) -> None:
    """A button that opens no dialog, and an element that is not there: each by its name."""

    async def story() -> None:
        async def blank(_request: web.Request) -> web.Response:
            return web.Response(text="<button>no</button>", content_type="text/html")

        async with serving(web.get("/", blank)) as address, page_in(tmp_path) as page:
            await page.open(address)
            watch = file_input.Watch(page, demo_profile().landmarks, 5)
            with pytest.raises(ProfileOutdated, match=r"attach .* no dialog for files opened"):
                await file_input.choose(watch, "attach", ("button",), ["/x"], 0.3)
            with pytest.raises(ProfileOutdated, match=r"attach\[0\] .*is not on the page"):
                await file_input.give(page, "drop", ("attach[0]", ("#no",)), [])

    tell(story())


DROP = """<input type=file id=one hidden><div id=box>here</div><ul></ul><script>
const show = (files) => { for (const each of files) {
  const item = document.createElement("li"); item.textContent = each.name;
  document.querySelector("ul").append(item); } };
one.onchange = () => show(one.files);
box.ondragover = (event) => event.preventDefault();
box.ondrop = (event) => { event.preventDefault(); show(event.dataTransfer.files); };
</script>"""


GOES = "void document.querySelector('#one').addEventListener('change', ({ target }) => target.remove())"


def test_pages_of_other_makes(tmp_path: Path) -> None:
    """A drop zone gets all at once; an input for one file gets one after another."""

    async def story() -> None:
        async def zone(_request: web.Request) -> web.Response:
            return web.Response(text=DROP, content_type="text/html")

        paths: list[str] = []
        for name in ("a.txt", "b.txt"):
            (tmp_path / name).write_text(name)
            paths.append(str(tmp_path / name))
        marks = replace(demo_profile().landmarks, uploaded="li", uploading=(), upload_failed=())
        async with serving(web.get("/", zone)) as address, page_in(tmp_path) as page:
            await page.open(address)
            watch = file_input.Watch(page, marks, 10)
            await watch.begin()
            await file_input.give(page, "drop", ("attach[0]", ("#box",)), paths)
            await watch.taken(2)
            await watch.begin()
            await file_input.choose(watch, "attach", ("#one",), paths, 5)
            await watch.taken(2)
            shown = await page.evaluate(
                "[...document.querySelectorAll('li')].map((li) => li.innerText)"
            )
            assert shown == ["a.txt", "b.txt"] * 2
            await watch.begin()
            await page.evaluate(GOES)
            with pytest.raises(InvalidRequest, match="bring 2 files; the page took 1, and shows"):
                await file_input.choose(watch, "attach", ("#one",), paths, 5)

    tell(story())


# -- images out -----------------------------------------------------------------------------------


def _data(content: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def test_images_come_as_address_or_as_bytes(tmp_path: Path) -> None:
    """By the site's signed address, or as the very bytes behind it, each of two."""

    async def story() -> None:
        async with _site(tmp_path, demo_profile()) as (site, address):
            images = await _images(site, _chat("demo-image", text="a boat"))
            assert [url.startswith(f"{address}/demo/storage/") for url in images] == [True]
            wish = _chat("demo-image", text="a boat [[demo:two-images]]", image_bytes=1_000_000)
            assert await _images(site, wish) == [
                _data(picture("a boat")),
                _data(picture("a boat\n1")),
            ]
            wish = _chat("demo-image", text="a boat", image_bytes=100)
            (url,) = await _images(site, wish)
            assert url.startswith(f"{address}/demo/storage/"), "too large: the address is passed on"

    tell(story())


async def _images(site: PageSite, wish: Chat) -> list[str]:
    return [event.url for event in await _events(site, wish) if isinstance(event, Image)]


VECTOR = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><text>\xc3\xa9</text></svg>'


def test_images_that_the_page_may_only_show(tmp_path: Path) -> None:
    """A content policy that forbids to fetch: then the bytes are those that the page shows."""
    shown = picture("shown")

    async def image(_request: web.Request) -> web.Response:
        return web.Response(body=shown, content_type="image/png")

    async def secret(_request: web.Request) -> web.Response:
        return web.Response(text="no image at all", content_type="image/png")

    async def vector(_request: web.Request) -> web.Response:
        return web.Response(body=VECTOR, content_type="image/svg+xml")

    async def start(_request: web.Request) -> web.Response:
        headers = {"Content-Security-Policy": "connect-src 'none'"}
        return web.Response(text="<img src=/i.png>", content_type="text/html", headers=headers)

    async def story() -> None:
        routes = [web.get("/", start), web.get("/i.png", image), web.get("/s.png", secret)]
        routes.append(web.get("/v.svg", vector))
        async with serving(*routes) as address, page_in(tmp_path) as page:
            await page.open(address)
            got: list[Event] = []

            async def emit(event: Event) -> None:
                got.append(event)

            bring = bringing(page, emit, 1_000_000)
            await bring(Image("/i.png"))
            await bringing(page, emit, 0)(Image("/i.png"))
            await bring(TextDelta("as it is"))
            await bring(Image("//[no/x.png"))
            await page.evaluate("document.querySelector('img').src = '/v.svg'")
            await bring(Image("/v.svg"))
            await page.evaluate("document.querySelector('img').src = '/s.png'")
            await bring(Image(f"{address}/s.png"))
            assert got == [
                Image(_data(shown)),
                Image(f"{address}/i.png"),
                TextDelta("as it is"),
                Image("//[no/x.png"),
                Image(f"data:image/svg+xml;base64,{base64.b64encode(VECTOR).decode()}"),
                Image(f"{address}/s.png"),
            ]

    tell(story())


def test_a_page_that_takes_no_files_is_as_good_for_words(tmp_path: Path) -> None:
    """A file is refused as the client's own fault: nobody can take an instance away by sending one."""

    async def story() -> None:
        marks = replace(demo_profile().landmarks, attach="#no-such-input")
        async with _site(tmp_path, replace(demo_profile(), landmarks=marks)) as (site, _):
            with pytest.raises(InvalidRequest, match="the page took 0, and shows no way for more"):
                await _events(site, _chat("demo-files", PICTURE))
            assert await _events(site, _chat("demo-files")) != []

    tell(story())


def test_limits_of_the_site_hold_before_the_page(tmp_path: Path) -> None:
    """What the profile says of the site is told as the client's fault, by the field that broke it."""

    async def story() -> None:
        profile = replace(demo_profile(), limits=Limits(files=1))
        async with _site(tmp_path, profile) as (site, _):
            with pytest.raises(RequestError, match="bring 2 files"):
                await _events(site, _chat("demo-files", PICTURE, NOTES))

    tell(story())
