"""Read an answer in the page itself, where nothing else can be read: what its watch sees grow.

The page is asked and answers when something has changed, so a slow reader is waited for by nobody.
"""

import json
import re
from itertools import count
from typing import Any, cast

from arenad.errors import UpstreamFailed
from arenad.schema.profile import DomRules, Places
from arenad.worker.page_port import PagePort, selectors
from arenad.worker.source import Inbox, Piece

LOOK_S = 5.0
"""So long at most the page takes to answer that nothing has changed."""

REPLY_S = 15.0
HTTP_ERROR = 400
ENDED = ("end", "stop", "quiet")

BEGINNING_CHARS = 200
_UNTOLD = re.compile(
    "[\t-\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff*_`~#>|\\\\-]"
)
"""What may or may not be drawn of a prompt: the page's scripts (`answer.js`) call the same so."""

_tokens = count(1)


class DomSource:
    """The answer that will be there after the prompt was sent. Use `begin`."""

    def __init__(
        self, page: PagePort, rules: DomRules, stop: Places, before: tuple[int, int], prompt: str
    ) -> None:
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
            "asked": _known_by(prompt),
            "settle_ms": int(rules.settle_s * 1000),
            "timeout_ms": int(LOOK_S * 1000),
        }
        self.request: Inbox | None = None
        """What the page asks for the answer, where its engine tells of that and no more."""

        self._state = ""
        self._pending: list[Piece] = []
        self._is_abandoned = False

    @classmethod
    async def begin(
        cls, page: PagePort, rules: DomRules, stop: Places, prompt: str = ""
    ) -> "DomSource":
        """Before the prompt is sent: count what is there. Raises `BrowserError`.

        By `prompt` the page's own showing of it is told from an answer.
        """
        wanted = json.dumps({"element": rules.element, "end": rules.end})
        counts = await page.evaluate(f"arenadAnswer.counts({wanted})")
        answers, ends = cast("list[int]", counts)
        return cls(page, rules, stop, (answers, ends), prompt)

    @property
    def is_over(self) -> bool:
        """Whether the page has shown a sign of the end; a rest is none while its request runs."""
        runs = self.request is not None and not self.request.is_over
        return self._state in ENDED and not (runs and self._state == "quiet")

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
        """Until the page asks, or shows that it is at work; not waited for where nothing tells."""
        if self.request is not None:
            await self.request.sent()
            return
        while self._call["stop"] and not self._state:
            await self._pull()

    async def head(self) -> int:
        """That of its request; in a page there is none. Raises `UpstreamFailed`, `BrowserGone`."""
        if self.request is not None:
            self.status = await self.request.head()
            self.headers = self.request.headers
        return self.status

    async def read(self) -> list[Piece]:
        """What has changed since; nothing at the end. Raises `BrowserError`, `UpstreamFailed`."""
        if self.status >= HTTP_ERROR:
            return []
        while not self._pending and not self.is_over:
            await self._pull()
        pieces, self._pending = self._pending, []
        if not pieces and self.request is not None and self.request.failed:
            raise UpstreamFailed(f"the site's answer was cut: {self.request.failed}")
        return pieces

    async def over(self) -> None:
        """Until the page shows a sign of the end. Raises `BrowserError`."""
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
        """Who asks the page hears it from there; who waits for its request, here."""
        if self.request is not None:
            self.request.lose(why)


def _known_by(prompt: str) -> dict[str, object]:
    """What tells a prompt: its beginning, and its length in UTF-16 units, as scripts count."""
    told = _UNTOLD.sub("", prompt)
    units = len(told.encode("utf-16-le", "surrogatepass")) // 2
    return {"beginning": told[:BEGINNING_CHARS], "length": units}
