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
from arenad.schema.chat import Began, Chat, Event, Mode, TextDelta, Turn
from arenad.schema.config import BrowserConfig
from arenad.schema.profile import Places, Profile
from arenad.schema.trial import Finding, Trial, Verdict
from arenad.worker import file_input
from arenad.worker.browser_process import BrowserProcess
from arenad.worker.engines import launch
from arenad.worker.footing import Site
from arenad.worker.page_port import BrowserError, PagePort, selectors
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
) -> AsyncGenerator[tuple[BrowserProcess, PagePort]]:
    """A browser with one page; nothing of it is left in the end."""
    browser = await launch(config, scratch, "trial")
    try:
        yield browser, await browser.page()
    finally:
        await browser.close()


class Trying:
    """One profile on one page, in one of its modes after another."""

    def __init__(self, page: PagePort, profile: Profile, url: str) -> None:
        """Nothing is opened yet."""
        self.findings: list[Finding] = []
        self._page = page
        self._whole, self._url = profile, url
        self._site = PageSite(page, profile, url)
        self._models: tuple[str, ...] = ()
        self._go_to("direct")

    def _go_to(self, mode: Mode) -> None:
        self._mode: Mode = mode
        self._profile = self._whole.in_mode(mode)
        self._marks = self._profile.landmarks
        self._driver = Driver(self._page, self._profile, self._url)

    async def run(self, prompt: str) -> None:
        """Look at everything in direct chats; send one prompt if there is one."""
        if await self._check("page", self._open):
            await self._look_around()
        if prompt and not self._has_gone():
            await self._chat(prompt)
        elif self._marks.stop:
            why = "nothing was sent" if prompt else "--prompt TEXT looks for it"
            self._note("stop", "unknown", f"shows only during an answer; {why}")

    async def run_in_modes(self) -> None:
        """Look at everything in the other modes, if there is a page at all; nothing is sent."""
        if not self.findings or self.findings[0].verdict == "gone":
            return
        for mode in self._whole.modes_offered():
            if mode == "direct":
                continue
            self._go_to(mode)
            if await self._check("page", self._open):
                await self._look_around()
            if self._marks.stop != self._whole.landmarks.stop:
                self._note("stop", "unknown", "shows only during an answer; nothing was sent")

    def trial(self, browser: str) -> Trial:
        """What came of it."""
        whole, findings = self._whole, tuple(self.findings)
        return Trial(
            profile=whole.name,
            version=whole.version,
            url=self._url,
            browser=browser,
            findings=findings,
        )

    def _has_gone(self) -> bool:
        return any(each.verdict == "gone" for each in self.findings)

    # -- findings ----------------------------------------------------------------------------------

    def _note(self, name: str, verdict: Verdict, note: str, took_s: float = 0.0) -> bool:
        named = name if self._mode == "direct" else f"{self._mode}: {name}"
        self.findings.append(Finding(name=named, verdict=verdict, note=note, took_s=took_s))
        return verdict == "holds"

    async def _check(self, name: str, check: Check) -> bool:
        """Note whether a check finds what it looks for, and what."""
        began_s = time.monotonic()
        try:
            note, verdict = await check(), "holds"
        except (RequestError, BrowserError) as error:
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
        status = self._page.status
        return f"HTTP {status}" if status else ""

    async def _prompt(self) -> str:
        await self._driver.look(LOOK_S)
        return selectors(self._marks.prompt)[max(0, await self._page.place(self._marks.prompt))]

    async def _look_around(self) -> None:
        marks = self._marks
        has_prompt = await self._check("prompt", self._prompt)
        if self._mode == "direct":
            await self._check("models", self._read_models)
        pickers = [f"model_picker{side}" for side in self._sides]
        for name in ("ready_to_send", "new_chat", *pickers):
            if places := getattr(marks, name):
                await self._check_place(name, places)
        if marks.attach:
            await self._look_for_attach()
        if has_prompt:
            for side in self._sides:
                await self._choose(side)
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

    @property
    def _sides(self) -> tuple[str, ...]:
        """Whose models are chosen: of one, of two, or of none where the site chooses."""
        sides: dict[Mode, tuple[str, ...]] = {"direct": ("",), "side_by_side": ("", "_b")}
        return sides.get(self._mode, ())

    async def _choose(self, side: str) -> None:
        """Choose the last model, as a chat would; a page that has chosen it shows that.

        For the second of two it is the one before: two of one may not be what a site takes.
        """
        marks, profile = self._marks, self._profile
        model = next(iter(self._models[-2:] if side else self._models[-1:]), "")
        has_way = getattr(marks, f"model_option{side}") or marks.model_option
        if not model or not (has_way or getattr(profile, f"choose_model{side}")):
            return
        wanted = profile.models.aliases.get(model, model)

        async def choose() -> str:
            await self._driver.choose(wanted, side)
            return wanted

        name, chosen = f"model_chosen{side}", getattr(marks, f"model_chosen{side}")
        act = "choose the second model" if side else "choose a model"
        if await self._check(act, choose) and chosen:
            await self._check_place(name, with_model(chosen, wanted))

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
        except (ProfileOutdated, BrowserError):
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
        trying, picture = Trying(page, profile, url), b""
        await trying.run(wish.prompt)
        if wish.picture:
            with suppress(BrowserError):
                picture = base64.b64decode(await page.screenshot())
        await trying.run_in_modes()
        return trying.trial(browser.version), picture


class Wish(NamedTuple):
    """What a trial is to do beyond looking: send this prompt, take a picture."""

    prompt: str = ""
    picture: bool = False
