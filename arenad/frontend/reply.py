"""One HTTP answer: the events of a chat as a stream of frames, or as one object."""

import logging
from collections.abc import AsyncGenerator

from aiohttp import HttpVersion11, web

from arenad.conversation import text_of
from arenad.errors import RequestError, UpstreamFailed
from arenad.frontend import guard
from arenad.frontend.account import Account
from arenad.frontend.entrance import allow
from arenad.frontend.once import Claim
from arenad.frontend.vocabulary import (
    MAX_WHOLE_CHARS,
    Shown,
    Side,
    ToolCall,
    Usage,
    Vocabulary,
    Wish,
)
from arenad.log import wall_time_s
from arenad.schema.chat import (
    CONTENT,
    Began,
    Citation,
    Finish,
    Heartbeat,
    Image,
    ReasoningDelta,
    SideFailed,
    TextDelta,
)
from arenad.schema.process import FrontendSettings

MAX_NAME_CHARS = 200

_SAID = (*CONTENT, ToolCall)

Answer = AsyncGenerator[Shown]
"""Its last event is a `Finish`, or one of a side that failed beside a whole one."""

log = logging.getLogger("arenad.api")


class Reply:
    """One HTTP answer: as a stream of events or as one object."""

    response: web.StreamResponse
    claim = Claim()

    def __init__(
        self,
        request: web.Request,
        words: Vocabulary,
        wish: Wish,
        settings: FrontendSettings,
        account: Account,
    ) -> None:
        """Nothing is sent yet."""
        self._request = request
        self._wish = wish
        limits = settings.chat
        allow(request, limits.idle_timeout_s if wish.stream else limits.total_timeout_s)
        self._account = account
        self._has_begun = False
        self._writer = words.writer(guard.own_id(request), wish, int(wall_time_s()))

    @property
    def base(self) -> str:
        """Where the client has found us."""
        return f"{self._request.scheme}://{self._request.host}"

    # -- as one object ----------------------------------------------------------------------------

    async def whole(self, events: Answer) -> bool:
        """Collect the answer and send it, all before the request counts as ended."""
        sides: dict[int, Side] = {}
        last: Shown | None = None
        held = 0
        async for event in events:
            last = event
            if isinstance(event, Heartbeat | Began):
                continue
            sides.setdefault(event.side, Side(event.side)).take(event)
            held += self._hear(event) + (len(event.url) if isinstance(event, Image) else 0)
            if held > MAX_WHOLE_CHARS:
                raise UpstreamFailed(f"the answer is longer than {MAX_WHOLE_CHARS} characters")
        has_end = any(side.reason for side in sides.values())
        if not (has_end and isinstance(last, Finish | SideFailed)):
            raise UpstreamFailed("the answer has no end")
        await self._send_whole(
            self._writer.whole([sides[each] for each in sorted(sides)], self._usage())
        )
        return True

    def _usage(self) -> Usage:
        return Usage(self._wish.prompt_tokens, self._account.tokens())

    def _hear(self, event: Shown) -> int:
        """Count what is said; gives how many characters that is."""
        if not isinstance(event, _SAID):
            return 0
        piece = _piece(event)
        self._account.takes(event.side, piece)
        return len(piece)

    async def _send_whole(self, body: bytes) -> None:
        notes = notes_of(self._wish, self._account.began)
        await self.claim.keep(body, notes)  # before it is sent: the client may miss it just now
        response = web.Response(body=body, content_type=guard.JSON, headers=notes)
        self.response = response
        await response.prepare(self._request)
        await response.write_eof()

    # -- as a stream ------------------------------------------------------------------------------

    async def stream(self, events: Answer) -> bool:
        """Send the events as they come; whether the answer reached its end.

        The status waits for the first event, so that what fails early fails as HTTP. After that a
        failure is one error frame: no finish, no [DONE]. A finish is kept until what comes after
        it, so that the last one travels with [DONE].
        """
        kept = b""
        try:
            async for event in events:
                frame, kept = kept + self._framed(event), b""
                if isinstance(event, Finish):
                    kept = frame
                else:
                    await self._send(frame)
            await self._send(kept + self._writer.end(self._usage()))
        except ConnectionError:
            raise
        except Exception as error:
            if not self._has_begun:
                raise
            await self._send(self._writer.failed(self._told(error)))
            await self.response.write_eof()
            return False
        await self.response.write_eof()
        return True

    def _framed(self, event: Shown) -> bytes:
        self._hear(event)
        role = b"" if self._has_begun else self._writer.first()
        return role + self._writer.event(event)

    def _told(self, error: Exception) -> RequestError:
        """What the client is told of an error in mid-stream; a bug is said in the log alone."""
        name = guard.request_id(self._request)
        if isinstance(error, RequestError):
            self._account.fails(error.kind)
            log.warning("request %s: failed in mid-stream: %s", name, error.message)
            return error
        log.error("request %s: ended with a bug in mid-stream", name, exc_info=error)
        return RequestError("internal error; the log of the daemon has more")

    async def _send(self, frame: bytes) -> None:
        if not self._has_begun:
            await self._open()
        await self.response.write(frame)

    async def _open(self) -> None:
        self.response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream; charset=utf-8",
                "Cache-Control": "no-cache",
                "X-Accel-Buffering": "no",
                **notes_of(self._wish, self._account.began),
            }
        )
        self._has_begun = True
        if self._request.version < HttpVersion11:
            self.response.force_close()  # which is the end of the body (RFC 9112, 6.3)
        await self.response.prepare(self._request)


def _piece(event: TextDelta | ReasoningDelta | Image | Citation | ToolCall) -> str:
    """An event as text, wherever in the answer it goes."""
    match event:
        case ToolCall(name=name, arguments=arguments):
            return name + arguments
        case ReasoningDelta(text):
            return text
        case TextDelta() | Image() | Citation():
            return text_of(event)


def notes_of(wish: Wish, began: Began | None) -> dict[str, str]:
    """What a careful client may want to know of the answer, as far as it is known by now."""
    notes = {"x-arenad-usage": "estimated"}
    if began is not None:
        notes["x-arenad-conversation"] = began.course
        for name in ("session", "message"):
            if (told := _plain(getattr(began, f"{name}_id"))) != "":
                notes[f"x-arenad-{name}"] = told
    if wish.ignored:
        named = ", ".join(name for name in wish.ignored if name.isascii() and name.isprintable())
        notes["x-arenad-ignored"] = named[:500]
    return notes


def _plain(name: str) -> str:
    """A name that a site gave, as a header can carry it; what is none is left out."""
    return name[:MAX_NAME_CHARS] if name.isascii() and name.isprintable() else ""
