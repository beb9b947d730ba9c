"""The `lmarena` profile against the demo arena at each date: every mode, file and refusal.

    make variants

One browser, and for each date a fresh page; of the profile nothing but the addresses of a date is
changed. Ends with 1 if anything is not as it has to be.
"""

import asyncio
import hashlib
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import aiohttp
import uvloop
from msgspec.structs import replace
from real_browser import browser_in, serving_demo

from arenad import errors, profiles
from arenad.demo.drawing import picture
from arenad.demo.variants import VARIANTS, Ways
from arenad.errors import RequestError
from arenad.schema.chat import Attachment, Chat, Event, Finish, Image, TextDelta, Turn
from arenad.schema.profile import Profile
from arenad.worker.page import Page
from arenad.worker.sites.page_driven import PageSite
from bench.report import RESULTS, Report, Row

ECHO, INSTANT = "demo-echo", "demo-echo-instant"
RINGS = Attachment(name="rings é.png", content_type="image/png", content=picture("rings"))

REFUSALS: Mapping[str, type[RequestError]] = {
    "400-private": errors.UpstreamFailed,
    "401": errors.NeedsLogin,
    "401-expired": errors.NeedsLogin,
    "401-foreign": errors.Expired,
    "403-score": errors.NeedsHuman,
    "404": errors.UpstreamFailed,
    "405": errors.UpstreamFailed,
    "413": errors.InvalidRequest,
    "422": errors.ContentRejected,
    "429=7": errors.Resting,
    "429-prompt": errors.ContentRejected,
    "500": errors.UpstreamFailed,
    "502-html": errors.UpstreamFailed,
    "html": errors.ProfileOutdated,
    "error-object": errors.UpstreamFailed,
    "empty": errors.UpstreamFailed,
    "model-error": errors.UpstreamFailed,
    "platform-error": errors.UpstreamFailed,
    "no-finish": errors.UpstreamFailed,
    "cut": errors.UpstreamFailed,
    "403-check": errors.NeedsHuman,
}
"""How a message is refused, and what that has to become. The last one leaves the page's check."""

GATES: Mapping[str, type[RequestError]] = {
    "challenge": errors.NeedsHuman,
    "block": errors.NeedsHuman,
    "login": errors.NeedsLogin,
}
"""What stands before the page."""


def profile_of(ways: Ways, fault: str = "") -> Profile:
    """The shipped profile with the addresses of a date; with a fault at the site's gate."""
    shipped = profiles.load("lmarena")
    pair, battle = shipped.modes.side_by_side, shipped.modes.battle
    if pair is None or battle is None:
        raise RuntimeError("the profile has lost a mode")
    sign = "&" if "?" in ways.direct else "?"
    return replace(
        shipped,
        start_path=f"{ways.direct}{sign}demo-fault={fault}" if fault else ways.direct,
        modes=replace(
            shipped.modes,
            side_by_side=replace(pair, start_path=ways.side_by_side),
            battle=replace(battle, start_path=ways.battle),
        ),
    )


def chat(text: str, model: str, model_b: str = "", *files: Attachment, mode: str = "") -> Chat:
    """A first message."""
    turn = Turn(role="user", text=text, attachments=files)
    wish = Chat("r1", model, (turn,), 20.0, 20.0, 40.0, image_bytes=1 << 20, model_b=model_b)
    return replace(wish, mode=mode or ("side_by_side" if model_b else "direct"))


async def told(site: PageSite, wish: Chat) -> list[Event]:
    """All that a chat says; what ends it last. Raises a `RequestError`."""
    events: list[Event] = []

    async def emit(event: Event) -> None:
        events.append(event)

    ending = await site.chat(wish, emit)
    return [*events, ending]


def text(events: list[Event], side: int = 0) -> str:
    """What one side said."""
    return "".join(e.text for e in events if isinstance(e, TextDelta) and e.side == side).strip()


async def models(site: PageSite) -> str:
    """Under the date's anchor."""
    names = {model.id for model in site.models}
    return "yes" if {ECHO, INSTANT, "battle"} <= names else f"{len(names)} without ours"


async def direct(site: PageSite) -> str:
    """Two messages, the second in the same chat."""
    return _equal(text(await told(site, chat("one two", ECHO))), "one two")


async def side_by_side(site: PageSite) -> str:
    """Two models that say the same."""
    events = await told(site, chat("three four", ECHO, INSTANT))
    return _equal(f"{text(events)}|{text(events, 1)}", "three four|three four")


async def battle(site: PageSite) -> str:
    """Both sides speak, and both end."""
    events = await told(site, chat("Hello, and what of Ada?", "battle", mode="battle"))
    ends = {event.side for event in events if isinstance(event, Finish)}
    has_both = bool(text(events)) and bool(text(events, 1)) and ends == {0, 1}
    return "yes" if has_both else f"ends {sorted(ends)}"


async def image(site: PageSite) -> str:
    """It comes with its bytes."""
    events = await told(site, chat("rings", "demo-image"))
    urls = [event.url for event in events if isinstance(event, Image)]
    return "yes" if urls and all(url.startswith("data:image/") for url in urls) else str(urls)[:40]


async def upload(site: PageSite) -> str:
    """Name, type, size and hash arrive as they were sent."""
    got = text(await told(site, chat("look", "demo-files", "", RINGS)))
    digest = hashlib.sha256(RINGS.content).hexdigest()
    sent = {"name": RINGS.name, "type": RINGS.content_type, "bytes": len(RINGS.content)}
    return _equal(got and json.loads(got.splitlines()[0]), {**sent, "sha256": digest})


def _equal(got: object, wanted: object) -> str:
    return "yes" if got == wanted else repr(got)[:60]


LOOKS: Mapping[str, Callable[[PageSite], Awaitable[str]]] = {
    "models": models,
    "direct": direct,
    "side by side": side_by_side,
    "battle": battle,
    "image out": image,
    "file in": upload,
}


def _kind(error: RequestError | None, wanted: type[RequestError]) -> str:
    found = "answered" if error is None else error.kind
    return "yes" if type(error) is wanted else found


async def _refused(site: PageSite, fault: str) -> str:
    try:
        await told(site, chat(f"hello there [[demo:{fault}]]", INSTANT))
    except RequestError as error:
        return _kind(error, REFUSALS[fault])
    return _kind(None, REFUSALS[fault])


async def _stopped(page: Page, address: str, ways: Ways, gate: str) -> str:
    try:
        await PageSite(page, profile_of(ways, gate), address).open()
    except RequestError as error:
        return _kind(error, GATES[gate])
    return _kind(None, GATES[gate])


async def drive(report: Report, folder: Path) -> None:
    """Every date, one after the other."""
    found: dict[str, dict[str, str]] = {}
    async with serving_demo() as address, browser_in(folder) as browser:
        for name, variant in VARIANTS.items():
            report.say(name)
            body = json.dumps({"variant": name})
            async with aiohttp.request("PUT", f"{address}/demo/variant", data=body) as answer:
                answer.raise_for_status()
            site = PageSite(
                await Page.create(browser.devtools), profile_of(variant.ways), address, folder
            )
            await site.open()
            for what, look in LOOKS.items():
                try:
                    found.setdefault(what, {})[name] = await look(site)
                except RequestError as error:
                    found.setdefault(what, {})[name] = f"{error.kind}: {error.message}"[:60]
            for fault, wanted in REFUSALS.items():
                what = f"`{fault}` -> {wanted.kind}"
                found.setdefault(what, {})[name] = await _refused(site, fault)
            for gate, wanted in GATES.items():
                page = await Page.create(browser.devtools)
                what = f"`{gate}` before the page -> {wanted.kind}"
                found.setdefault(what, {})[name] = await _stopped(page, address, variant.ways, gate)
                await page.close()
        async with aiohttp.request("GET", f"{address}/demo/tally") as answer:
            votes = (await answer.json()).get("votes") or 0
    for what, cells in found.items():
        report.add(Row(what, "yes", {name: {"": cell} for name, cell in cells.items()}))
    report.add(Row("votes", "0", {name: {"": str(votes)} for name in VARIANTS}))


def main() -> None:
    """Drive, print, write."""
    report = Report("variants", tuple(VARIANTS), {})
    with (
        tempfile.TemporaryDirectory() as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(drive(report, Path(folder)))
    report.write(RESULTS)
    print(f"\n{report.as_table()}")
    cells = [(row, cell) for row in report.rows for cell in row.cells.values()]
    sys.exit(any(cell[""] != row.aim for row, cell in cells))


if __name__ == "__main__":
    main()
