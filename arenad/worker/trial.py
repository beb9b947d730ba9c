"""Tries a profile on its page, in a browser of its own: what of it holds, and what is gone."""

import asyncio
import base64
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

from arenad.errors import ProfileOutdated, RequestError
from arenad.schema.chat import Began, Chat, Event, TextDelta, Turn
from arenad.schema.config import BrowserConfig
from arenad.schema.profile import Places, Profile
from arenad.schema.trial import Finding, Trial, Verdict
from arenad.worker import file_input
from arenad.worker.browser import Browser, launch
from arenad.worker.devtools import DevToolsError
from arenad.worker.footing import Site
from arenad.worker.page import Page, selectors
from arenad.worker.sites.driver import Driver, with_model
from arenad.worker.sites.page_driven import PageSite

LOOK_S = 5.0
CHAT_S = 120.0
QUICK_S = 2.0
"""In a shorter answer the stop button may not be seen."""

PROBE = "Hello"
"""Written to see whether the send button comes alive; it is not sent."""

SHOWN_CHARS = 60

Check = Callable[[], Awaitable[str]]


@asynccontextmanager
async def page_of_its_own(
    config: BrowserConfig, scratch: Path
) -> AsyncGenerator[tuple[Browser, Page]]:
    """A browser with one page; nothing of it is left in the end."""
    browser = await launch(config, scratch, "trial")
    try:
        yield browser, await Page.create(browser.devtools)
    finally:
        await browser.close()


class Trying:
    """One profile on one page."""

    def __init__(self, page: Page, profile: Profile, url: str) -> None:
        """Nothing is opened yet."""
        self.findings: list[Finding] = []
        self._page = page
        self._profile = profile
        self._marks = profile.landmarks
        self._site = PageSite(page, profile, url)
        self._driver = Driver(page, profile, url)
        self._models: tuple[str, ...] = ()

    async def run(self, browser: str, url: str, prompt: str) -> Trial:
        """Look at everything; send one prompt if there is one."""
        if await self._check("page", self._open):
            await self._look_around()
        if prompt and not self._has_gone():
            await self._chat(prompt)
        elif self._marks.stop:
            why = "nothing was sent" if prompt else "--prompt TEXT looks for it"
            self._note("stop", "unknown", f"shows only during an answer; {why}")
        name, version = self._profile.name, self._profile.version
        return Trial(
            profile=name, version=version, url=url, browser=browser, findings=tuple(self.findings)
        )

    def _has_gone(self) -> bool:
        return any(each.verdict == "gone" for each in self.findings)

    # -- findings ----------------------------------------------------------------------------------

    def _note(self, name: str, verdict: Verdict, note: str, took_s: float = 0.0) -> bool:
        self.findings.append(Finding(name=name, verdict=verdict, note=note, took_s=took_s))
        return verdict == "holds"

    async def _check(self, name: str, check: Check) -> bool:
        """Note whether a check finds what it looks for, and what."""
        began_s = time.monotonic()
        try:
            note, verdict = await check(), "holds"
        except (RequestError, DevToolsError) as error:
            note, verdict = str(error), "gone"
        return self._note(name, verdict, note, time.monotonic() - began_s)

    async def _check_place(self, name: str, places: Places) -> bool:
        async def look() -> str:
            await self._page.wait_for(name, places, LOOK_S)
            at = await self._page.place(places)
            return selectors(places)[max(at, 0)]

        return await self._check(name, look)

    # -- what there is -----------------------------------------------------------------------------

    async def _open(self) -> str:
        await self._driver.goto()
        status = self._page.traffic.status
        return f"HTTP {status}" if status else ""

    async def _prompt(self) -> str:
        await self._driver.look(LOOK_S)
        return selectors(self._marks.prompt)[max(0, await self._page.place(self._marks.prompt))]

    async def _look_around(self) -> None:
        marks = self._marks
        has_prompt = await self._check("prompt", self._prompt)
        await self._check("models", self._read_models)
        if marks.ready_to_send:
            await self._check_place("ready_to_send", marks.ready_to_send)
        if marks.new_chat:
            await self._check_place("new_chat", marks.new_chat)
        if marks.model_picker:
            await self._check_place("model_picker", marks.model_picker)
        if marks.attach:
            await self._look_for_attach()
        if has_prompt:
            await self._choose()
            if await self._check("prompt takes text", self._write) and marks.send:
                await self._check_place("send", marks.send)

    async def _look_for_attach(self) -> None:
        """A page without is as good for words, so that says nothing against the profile."""
        places = selectors(self._marks.attach)
        if await file_input.has_way(self._page, places):
            self._note("attach", "holds", " or ".join(places))
        else:
            self._note("attach", "unknown", f"the page takes no files ({' or '.join(places)})")

    async def _read_models(self) -> str:
        self._models = tuple(model.id for model in await self._driver.models())
        return f"{len(self._models)}: {', '.join(self._models)}"

    async def _choose(self) -> None:
        """Choose the last model, as a chat would; a page that has chosen it shows that."""
        marks, model = self._marks, self._models[-1] if self._models else ""
        if not model or not (marks.model_option or self._profile.choose_model):
            return
        wanted = self._profile.models.aliases.get(model, model)

        async def choose() -> str:
            await self._driver.choose(wanted)
            return wanted

        if await self._check("choose a model", choose) and marks.model_chosen:
            await self._check_place("model_chosen", with_model(marks.model_chosen, wanted))

    async def _write(self) -> str:
        await self._driver.write(PROBE)
        return ""

    # -- one chat ----------------------------------------------------------------------------------

    async def _chat(self, prompt: str) -> None:
        """Perform one chat as a request would, and look for the stop button meanwhile."""
        if not await self._check("opened anew", self._open_site):
            return
        began_s = time.monotonic()
        async with asyncio.TaskGroup() as group:
            stop = group.create_task(self._seen_stop())
            await self._check("answer", partial(answer_of, self._site, prompt))
            stop.cancel()
        if not self._marks.stop:
            return
        took_s = time.monotonic() - began_s
        if not stop.cancelled() and stop.result():
            self._note("stop", "holds", " or ".join(selectors(self._marks.stop)))
        elif took_s < QUICK_S:
            self._note("stop", "unknown", "the answer was too quick to see it; ask for more")
        else:
            shown = " or ".join(selectors(self._marks.stop))
            self._note("stop", "gone", f"the landmark stop ({shown}) did not show meanwhile")

    async def _seen_stop(self) -> bool:
        if not self._marks.stop:
            return False
        try:
            await self._page.wait_for("stop", self._marks.stop, CHAT_S)
        except (ProfileOutdated, DevToolsError):
            return False
        return True

    async def _open_site(self) -> str:
        await self._site.open()
        return ""


async def answer_of(site: Site, prompt: str) -> str:
    """What came of one chat with the site's first model, in words. Raises as `Site.chat` does."""
    began_s, first_s, text = time.monotonic(), 0.0, ""

    async def emit(event: Event) -> None:
        nonlocal first_s, text
        if not isinstance(event, Began):
            first_s = first_s or time.monotonic() - began_s
        text += event.text if isinstance(event, TextDelta) else ""

    turn = Turn(role="user", text=prompt)
    chat = Chat("trial", site.models[0].id, (turn,), CHAT_S, CHAT_S, CHAT_S)
    finish = await site.chat(chat, emit)
    what = f"{finish.reason}, {len(text)} characters, the first after {first_s:.2f} s"
    return f"{what}: {text[:SHOWN_CHARS]!r}"


async def try_profile(
    config: BrowserConfig, scratch: Path, profile: Profile, url: str, wish: "Wish"
) -> tuple[Trial, bytes]:
    """Try a profile at an address; gives what came of it, and a picture (PNG) if one is wished for.

    Raises `ArenadError` when there is no browser to try it in.
    """
    async with page_of_its_own(config, scratch) as (browser, page):
        trial = await Trying(page, profile, url).run(browser.version, url, wish.prompt)
        picture = b""
        if wish.picture:
            with suppress(DevToolsError):
                picture = base64.b64decode(await page.screenshot())
        return trial, picture


class Wish(NamedTuple):
    """What a trial is to do beyond looking: send this prompt, take a picture."""

    prompt: str = ""
    picture: bool = False
