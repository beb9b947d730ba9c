"""Read an answer in the page itself, where nothing else can be read: what its watch sees grow.

The page is asked and answers when something has changed, so a slow reader is waited for by nobody.
"""

import json
from itertools import count
from typing import Any, cast

from arenad.schema.profile import DomRules, Places
from arenad.worker.page import Page, selectors
from arenad.worker.source import Piece

LOOK_S = 5.0
"""So long at most the page takes to answer that nothing has changed."""

REPLY_S = 15.0
ENDED = ("end", "stop", "quiet")

_tokens = count(1)


class DomSource:
    """The answer that will be there after the prompt was sent. Use `begin`."""

    def __init__(self, page: Page, rules: DomRules, stop: Places, before: tuple[int, int]) -> None:
        """`before`: how many answers, and how many signs of an end, there were before."""
        self.status = 200
        self.headers: dict[str, str] = {}
        self._page = page
        self._call = {
            "token": next(_tokens),
            "element": rules.element,
            "end": rules.end,
            "skip": rules.skip,
            "stop": selectors(stop),
            "before": before[0],
            "endsBefore": before[1],
            "settle_ms": int(rules.settle_s * 1000),
            "timeout_ms": int(LOOK_S * 1000),
        }
        self._state = ""
        self._pending: list[Piece] = []
        self._is_abandoned = False

    @classmethod
    async def begin(cls, page: Page, rules: DomRules, stop: Places) -> "DomSource":
        """Before the prompt is sent: count what is there. Raises `DevToolsError`."""
        wanted = json.dumps({"element": rules.element, "end": rules.end})
        counts = await page.evaluate(f"arenadAnswer.counts({wanted})")
        answers, ends = cast("list[int]", counts)
        return cls(page, rules, stop, (answers, ends))

    @property
    def is_over(self) -> bool:
        """Whether the page has shown a sign of the end."""
        return self._state in ENDED

    @property
    def has_end(self) -> bool:
        """The page's own signs are the end."""
        return True

    async def _pull(self) -> None:
        call = f"arenadAnswer.next({json.dumps(self._call)})"
        told = cast("dict[str, Any]", await self._page.evaluate(call, REPLY_S))
        self._state = told["state"]
        if told["changed"] and not self._is_abandoned:
            piece = {"from": told["from"], "blocks": told["blocks"]}
            self._pending.append(json.dumps(piece, ensure_ascii=False))

    async def sent(self) -> None:
        """Until the page shows that it is at work; not waited for where no landmark tells."""
        while self._call["stop"] and not self._state:
            await self._pull()

    async def head(self) -> int:
        """There is none in a page."""
        return self.status

    async def read(self) -> list[Piece]:
        """What has changed since; nothing at the end. Raises `DevToolsError`."""
        while not self._pending and not self.is_over:
            await self._pull()
        pieces, self._pending = self._pending, []
        return pieces

    async def over(self) -> None:
        """Until the page shows a sign of the end. Raises `DevToolsError`."""
        while not self.is_over:
            await self._pull()

    def sent_texts(self) -> list[str]:
        """Nothing is said."""
        return []

    def abandon(self) -> None:
        """Nobody reads on."""
        self._is_abandoned = True
        self._pending.clear()

    def lose(self, why: str) -> None:
        """Who asks the page hears it from there."""
