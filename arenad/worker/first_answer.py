"""The first answer of a page that nobody has described: read whole, and its way learnt from it.

What grew on the page after the prompt is the answer; what carried that text, if anything in the
page's traffic did, is its way from then on, and gives the text to the letter.
"""

import asyncio
import json
from pathlib import Path
from typing import Any, NamedTuple, cast

from arenad.schema.chat import TextDelta
from arenad.schema.profile import DomRules, Places, StreamRules
from arenad.worker.page_port import Hearing, PagePort, selectors
from arenad.worker.sites.grammars.dom import DomAnswer
from arenad.worker.sites.guess import guess
from arenad.worker.source import Piece

REST_S = 2.5
LONG_REST_S = 12.0
"""A pause is longer while the page shows that it is at work, or a request of its is under way."""

STOPPED_S = 0.5
"""An answer that nobody reads on has come to rest by then."""

LOOK_S = 1.0
REPLY_S = 15.0

ALIKE = 0.6
"""What the traffic brought is the answer if it is that much like what shows."""

TELLING_CHARS = 40
"""A shorter answer may stand in many places: nothing is learnt from it."""

_HERE = Path(__file__).parent
SCRIPT = "".join((_HERE / name).read_text(encoding="utf-8") for name in ("learn.js", "grow.js"))


class Lesson(NamedTuple):
    """An answer, by which rules the next one can be read, and why not by better ones."""

    text: str
    stream: StreamRules | None
    note: str = ""


class FirstAnswer:
    """One answer, as a source whose pieces are signs of life (empty), then all the text."""

    def __init__(self, page: PagePort, stop: Places, prompt: str, transcript: Hearing) -> None:
        """Use `begin`."""
        self.status = 200
        self.headers: dict[str, str] = {}
        self.lesson = Lesson("", None)
        self._page = page
        self._stop = selectors(stop)
        self._prompt = prompt
        self._transcript = transcript
        self._is_over = False
        self._is_abandoned = False

    @classmethod
    async def begin(cls, page: PagePort, stop: Places, prompt: str) -> "FirstAnswer":
        """Before the prompt is sent: note what is there, and hear the traffic from now on.

        `stop` is the landmark that shows that an answer runs. Raises `BrowserError`.
        """
        answer = cls(page, stop, prompt, page.transcript())
        await answer._ask("mark")
        return answer

    @property
    def learnt(self) -> StreamRules | None:
        """The rules for the answers after this one, if it was long enough to be told by."""
        return self.lesson.stream if len(self.lesson.text) >= TELLING_CHARS else None

    # -- as a source -------------------------------------------------------------------------------

    @property
    def is_over(self) -> bool:
        """Whether it has come to rest."""
        return self._is_over

    @property
    def has_end(self) -> bool:
        """That it rests is its end."""
        return True

    async def sent(self) -> None:
        """Nothing is known of how such a page sends."""

    async def head(self) -> int:
        """There is none in a page."""
        return self.status

    async def read(self) -> list[Piece]:
        """A sign of life whenever it has grown; at its end its text. Raises `BrowserError`."""
        while not self._is_over:
            if await self._grew():
                return [""]
        if self.lesson.text or self._is_abandoned:
            return []
        self.lesson = await self._learnt()
        return [self.lesson.text] if self.lesson.text else []

    async def over(self) -> None:
        """Until it rests. Raises `BrowserError`."""
        while not self._is_over:
            await self._grew()

    def sent_texts(self) -> list[str]:
        """Nothing is said."""
        return []

    def abandon(self) -> None:
        """Nobody reads on."""
        self._is_abandoned = True
        self._transcript.abandon()

    def lose(self, why: str) -> None:
        """Who asks the page hears it from there."""

    # -- in the page -------------------------------------------------------------------------------

    async def _ask(self, function: str, *given: object) -> object:
        words = ", ".join(json.dumps(each) for each in given)
        # The script comes along each time: a page that goes elsewhere loses what it was given.
        call = f"{SCRIPT}; arenad.known ?? arenad.mark(); arenad.{function}({words})"
        return await self._page.evaluate(call, REPLY_S)

    async def _grew(self) -> bool:
        """Whether there is more within a moment; else it may have come to rest."""
        told = await self._ask("growth", self._prompt, self._stop, int(LOOK_S * 1000))
        growth = cast("dict[str, Any]", told)
        is_at_work = growth["moves"] or self._transcript.is_under_way
        rest_s = LONG_REST_S if is_at_work else REST_S
        rest_s = STOPPED_S if self._is_abandoned else rest_s
        rested_s = growth["rested_ms"] / 1000
        is_there = growth["chars"] > 0 or self._is_abandoned
        self._is_over = is_there and not growth["runs"] and rested_s > rest_s
        return growth["chars"] > 0 and rested_s < LOOK_S

    async def _learnt(self) -> Lesson:
        seen = cast("dict[str, Any]", await self._ask("lesson", self._prompt))
        shown, element = str(seen["text"]), seen["element"]
        heard = await self._transcript.heard()
        # It may take seconds, in which the worker has beats to send and others to answer.
        fit = await asyncio.to_thread(guess, heard, shown, self._prompt)
        if fit is not None and fit.likeness >= ALIKE:
            return Lesson(fit.text, fit.rules)
        text = await asyncio.to_thread(_markdown, cast("list[str]", seen["blocks"]))
        if not element:
            return Lesson(text, None, "found neither traffic nor an element with the answer")
        rules = StreamRules(transport="dom", dom=DomRules(element=str(element)))
        return Lesson(text, rules, "no traffic carries the answer; it is read from the page")


def _markdown(blocks: list[str]) -> str:
    grammar = DomAnswer()
    events = grammar.feed(json.dumps({"from": 0, "blocks": blocks})) + grammar.end()[0]
    return "".join(event.text for event in events if isinstance(event, TextDelta))
