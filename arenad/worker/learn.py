"""Work out a profile for a plain chat page: look, ask it one thing, see what carried the answer."""

import asyncio
import json
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import asdict, replace

from arenad.errors import ProfileOutdated
from arenad.schema.config import BrowserConfig
from arenad.schema.profile import Landmarks, ModelRules, Profile, StreamRules
from arenad.worker.first_answer import SCRIPT, FirstAnswer
from arenad.worker.page_port import PagePort, selectors
from arenad.worker.sites.driver import Driver
from arenad.worker.trial import page_of_its_own

PROMPT = "Please tell me in a few sentences what the weather is."
LOOK_S = 10.0
SEND_S = 2.0
ANSWER_S = 60.0


class Lesson(NamedTuple):
    """What was learnt: a draft, whether a chat can be had by it, and what to look at."""

    profile: Profile
    is_whole: bool
    notes: tuple[str, ...]


async def learn(
    config: BrowserConfig, scratch: Path, generic: Profile, url: str, prompt: str
) -> Lesson:
    """Learn the page at this address. Raises an `ArenadError` when it cannot be used at all."""
    async with page_of_its_own(config, scratch) as (_, page):
        return await Learning(page, generic, url).run(prompt or PROMPT)


class Learning:
    """One page, looked at through the places in which plain pages have their landmarks."""

    def __init__(self, page: PagePort, generic: Profile, url: str) -> None:
        """`generic` says where to look."""
        self._page = page
        self._generic = generic
        self._driver = Driver(page, generic, url)
        self._url = url
        self._notes: list[str] = []

    async def run(self, prompt: str) -> Lesson:
        """Look, ask, and put together what was seen."""
        await self._driver.goto()
        await self._driver.look(LOOK_S)
        await self._page.evaluate(f"{SCRIPT};0")
        marks = await self._landmarks(("prompt", "new_chat", "model_picker"))
        models = await self._models(marks)
        await self._driver.write(prompt)
        with suppress(ProfileOutdated):  # a page may enable its button only when it is ready
            await self._page.wait_for("send", self._generic.landmarks.send, SEND_S)
        marks |= await self._landmarks(("send",))
        stream, stop = await self._answer(prompt)
        marks |= stop
        draft = replace(
            self._generic,
            version=1,
            about=f"drafted from {self._url}",
            url=self._url,
            landmarks=Landmarks(**marks),
            send=(),  # by its button, or by Enter where none was found
            models=models,
            stream=stream or self._generic.stream,
        )
        return Lesson(draft, stream is not None, tuple(self._notes))

    async def _landmarks(self, names: tuple[str, ...]) -> dict[str, str]:
        """A lasting selector for each that is on the page now."""
        places = asdict(self._generic.landmarks)
        found: dict[str, str] = {}
        for name in names:
            wanted = selectors(places[name])
            if wanted and (selector := await self._ask("named", wanted)):
                found[name] = str(selector)
            elif wanted:
                self._notes.append(f"landmarks.{name}: found none")
        return found

    async def _ask(self, function: str, *given: object, timeout_s: float = 10.0) -> object:
        words = ", ".join(json.dumps(each) for each in given)
        return await self._page.evaluate(f"arenad.{function}({words})", timeout_s)

    async def _models(self, marks: dict[str, str]) -> ModelRules:
        picker = marks.get("model_picker", "")
        options = f"{picker} >> option"
        if picker and await self._page.names(options):
            return ModelRules(options=options)
        marks.pop("model_picker", None)
        return ModelRules()

    # -- the answer --------------------------------------------------------------------------------

    async def _answer(self, prompt: str) -> tuple[StreamRules | None, dict[str, str]]:
        """Send what is written; gives how the answer came, and the stop button if one showed."""
        stop = selectors(self._generic.landmarks.stop)
        first = await FirstAnswer.begin(self._page, stop, prompt)
        await self._driver.send()
        button = await self._stop_button(stop)
        try:
            async with asyncio.timeout(ANSWER_S):
                while await first.read():
                    pass
        except TimeoutError as error:
            why = f"a prompt was sent, but no answer came to rest within {ANSWER_S:g} s"
            raise ProfileOutdated(why) from error
        if first.lesson.note:
            self._notes.append(f"stream: {first.lesson.note}")
        return first.lesson.stream, button

    async def _stop_button(self, stop: tuple[str, ...]) -> dict[str, str]:
        try:
            await self._page.wait_for("stop", stop, 1.0)
        except ProfileOutdated:
            self._notes.append("landmarks.stop: none showed; a running answer cannot be stopped")
            return {}
        selector = await self._ask("named", stop)
        return {"stop": str(selector)} if selector else {}
