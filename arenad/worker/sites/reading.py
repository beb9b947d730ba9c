"""Read one answer: what its source brings, through its grammar, to events and an outcome."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import suppress

from arenad.errors import ProfileOutdated, RequestError, UpstreamFailed, WorkerLost
from arenad.schema.chat import Event, Finish, Heartbeat, ReasoningDelta, TextDelta
from arenad.schema.profile import StreamRules
from arenad.worker.footing import Gone
from arenad.worker.sites.grammars.choose import grammar_of
from arenad.worker.sites.refusal import (
    HTTP_ERROR,
    PAGE_CHARS,
    Beginning,
    is_page,
    of_page,
    of_status,
)
from arenad.worker.source import Piece, Source

FINISH_GRACE_S = 2.0
"""After its finish sign a body that does not end is whole all the same."""

DOUBT_S = 10.0
"""After a finish sign that came first, the answer may still begin for so long."""
ALONE_GRACE_S = 0.2
"""Of two answers only one is read: what comes after its sign is most likely the other's."""

BEGINNING_TIMEOUT_S = 2.0


class Reading:
    """One answer on its way: `events` until it has ended, then `end`."""

    def __init__(
        self, rules: StreamRules, sides: str = "a", *, is_one_of_two: bool = False
    ) -> None:
        """`sides`: `a`, `b`, or `ab` for both of two."""
        self._rules = rules
        self._is_text = rules.grammar == "text"
        self._grace_s = ALONE_GRACE_S if is_one_of_two else FINISH_GRACE_S
        self._parser = grammar_of(rules, sides)
        self._cut: RequestError | None = None
        self._until_s = 0.0

    def asked(self, prompt: str) -> None:
        """What the page was asked."""
        self._parser.asked(prompt)

    async def events(self, source: Source) -> AsyncGenerator[list[Event], None]:
        """What each read brought, where it brought any event: other lines are no sign of progress.

        Raises what the site sent in place of an answer as a `RequestError`; also `BrowserError`.
        """
        signs, parser = self._rules.signs, self._parser
        if await source.head() >= HTTP_ERROR:
            raise of_status(source.status, await _beginning(source), signs)
        beginning = Beginning(is_open=self._may_be_page(source))
        while pieces := await self._next(source):
            pieces = beginning.take(pieces)
            await self._no_page(beginning, source)
            for text in source.sent_texts():
                parser.sent(text)
            if events := self._fed(pieces):
                yield events
            if not source.has_end and parser.is_over:
                return
        rest = beginning.rest()
        await self._no_page(beginning, source)
        if events := self._fed(rest):
            yield events

    def _may_be_page(self, source: Source) -> bool:
        """What is read in the page is an answer; so is text that is not said to be HTML."""
        kind = source.headers.get("content-type", "html") if self._is_text else "html"
        return "html" in kind.lower() and self._rules.transport not in ("dom", "any")

    async def _no_page(self, beginning: Beginning, source: Source) -> None:
        """Raise what the site says where it is a page that came.

        A text may be one because the model was asked for it: that condemns no profile.
        """
        if not beginning.is_page:
            return
        said = beginning.said + await _beginning(source)
        error = of_page(said[:PAGE_CHARS], self._rules.signs)
        is_doubtful = self._is_text and isinstance(error, ProfileOutdated)
        raise UpstreamFailed(error.message) if is_doubtful else error

    def _fed(self, pieces: Iterable[Piece]) -> list[Event]:
        return merged(event for piece in pieces for event in self._parser.feed(piece))

    async def _next(self, source: Source) -> list[Piece]:
        """What comes next; after the finish sign only what comes soon, and no trouble any more."""
        parser = self._parser
        now_s = asyncio.get_running_loop().time()
        if parser.is_doubtful:
            return await _by(source, now_s + DOUBT_S)
        if parser.is_over:
            self._until_s = self._until_s or now_s + self._grace_s
            return await _by(source, self._until_s)
        try:
            return await source.read()
        except (UpstreamFailed, Gone) as error:
            if not parser.has_whole_side:
                raise
            self._cut = error if isinstance(error, UpstreamFailed) else WorkerLost(str(error))
            return []

    @property
    def has_whole_side(self) -> bool:
        """One of two answers is whole already, whatever becomes of the other one."""
        return self._parser.has_whole_side

    def end(self, trouble: RequestError | None = None) -> tuple[list[Event], Finish | RequestError]:
        """The last events, and how the answer ended; by `trouble`, where it ended too early."""
        if (error := trouble or self._cut) is not None:
            self._parser.give_up(error)
        events, outcome = self._parser.end()
        strange = self._parser.strange
        if isinstance(outcome, ProfileOutdated) and is_page(strange):
            outcome = of_page(strange, self._rules.signs)
        return merged(events), outcome

    @property
    def session_id(self) -> str:
        """The site's own name of the conversation, if its traffic has told it."""
        return self._parser.session_id

    @property
    def message_id(self) -> str:
        """The site's own name of the answer, if its traffic has told it; of two, of the first."""
        return self._parser.message_id

    @property
    def message_ids(self) -> tuple[str, ...]:
        """The site's own names of the answers, by their sides, as far as its traffic told them."""
        return tuple(name for _, name in sorted(self._parser.message_ids.items()))


async def _by(source: Source, until_s: float) -> list[Piece]:
    """What comes until then, by the loop's clock; trouble is the end, too."""
    with suppress(TimeoutError, UpstreamFailed):
        async with asyncio.timeout_at(until_s):
            return await source.read()
    return []


async def _beginning(source: Source) -> str:
    """The text of what came in place of an answer, as far as it comes soon."""
    said = ""
    with suppress(TimeoutError, UpstreamFailed):
        async with asyncio.timeout(BEGINNING_TIMEOUT_S):
            while len(said) < PAGE_CHARS and (pieces := await source.read()):
                said += "".join(map(_text, pieces))
    return said


def _text(piece: Piece) -> str:
    return piece if isinstance(piece, str) else piece.decode("utf-8", "replace")


def merged(events: Iterable[Event]) -> list[Event]:
    """Text that arrived together travels together; beside it a sign of life says nothing."""
    together: list[Event] = []
    for event in events:
        last = together[-1] if together else None
        match last, event:
            case TextDelta(before, side), TextDelta(text, other) if side == other:
                together[-1] = TextDelta(before + text, side)
            case ReasoningDelta(before, side), ReasoningDelta(text, other) if side == other:
                together[-1] = ReasoningDelta(before + text, side)
            case Heartbeat(), _:
                together[-1] = event
            case _, Heartbeat() if last is not None:
                pass
            case _:
                together.append(event)
    return together
