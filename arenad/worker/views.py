"""The live view of this instance: who looks at its page, what each is shown, who may act on it."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from arenad.errors import Overloaded, RequestError, Unavailable, UpstreamFailed
from arenad.link import Served, Tasks
from arenad.schema.frame import Body
from arenad.schema.process import Condition
from arenad.schema.view import Act, Did, Do, Drawn, Go, Input, Sight, Take, View
from arenad.worker.devtools import Reply
from arenad.worker.gestures import changes, command, lock
from arenad.worker.page import Page
from arenad.worker.page_port import BrowserError, BrowserGone
from arenad.worker.screencast import Screencast

MAX_VIEWERS = 4
"""Of one instance: one acts, the others watch."""

MAX_UNANSWERED = 256
"""Acts that the page may still have to react to; a page that hangs is sent no more."""

MAX_SHOWN_CHARS = 2000
"""Of an address or a title: a page may make them as long as it likes."""

log = logging.getLogger("arenad.views")


class Stage(Protocol):
    """What a page stands on."""

    @property
    def page(self) -> Page | None:
        """The page there is now."""
        ...

    def touched(self) -> None:
        """A person acted on it."""
        ...


class _Viewer:
    """One who looks: the last picture sent, and whether another one may be sent."""

    def __init__(self) -> None:
        self.turned = asyncio.Event()
        self.sent = 0
        self.is_drawing = False


class Views:
    """Serves `View` and `Do`. The first who looks acts; when that one leaves, the next."""

    def __init__(
        self, footing: Stage, is_busy: Callable[[], bool], on_person: Callable[[], None]
    ) -> None:
        """`on_person` is called when somebody begins to look, and after each act."""
        self._footing = footing
        self._is_busy = is_busy
        self._on_person = on_person
        self._condition: Condition = "opening"
        self._reason = ""
        self._viewers: dict[str, _Viewer] = {}
        self._unanswered = 0
        self._page: Page | None = None
        self._cast: Screencast | None = None
        self._turn = asyncio.Lock()
        self._tasks = Tasks()

    @property
    def is_watched(self) -> bool:
        """Whether anybody looks."""
        return bool(self._viewers)

    def tell(self, condition: Condition, reason: str) -> None:
        """The session is in this condition from now on."""
        self._condition, self._reason = condition, reason
        self.refresh()

    def follow(self) -> None:
        """There is another page now."""
        self._tasks.start(self._settle_quietly(), "show the new page")

    def refresh(self) -> None:
        """Something changed that viewers may have to be shown."""
        for viewer in self._viewers.values():
            viewer.turned.set()

    async def serve(self, served: Served) -> Body:
        """One call of a frontend. Raises a `RequestError`."""
        match served.body:
            case View(name):
                await self._watch(name, served)
                return Did()
            case Do(name, act):
                return Did(await self._do(name, act))
            case other:
                raise RequestError(f"{type(other).__name__} is not served by a worker")

    # -- show --------------------------------------------------------------------------------------

    async def _watch(self, name: str, served: Served) -> None:
        if self._footing.page is None:
            raise Unavailable(
                "this instance has no page to be shown: it has no browser, or one other than "
                "chromium (browser.engine)"
            )
        if len(self._viewers) >= MAX_VIEWERS or name in self._viewers:
            raise Overloaded(f"{MAX_VIEWERS} people look at this instance already; close a view")
        self._viewers[name] = viewer = _Viewer()
        self.refresh()
        try:
            await self._settle()
            self._on_person()
            await self._show(name, viewer, served)
        except BrowserError as error:
            raise UpstreamFailed(f"the page cannot be shown: {error}") from error
        finally:
            del self._viewers[name]
            self.refresh()
            self._tasks.start(self._settle_quietly(), "end the screencast")

    async def _show(self, name: str, viewer: _Viewer, served: Served) -> None:
        """What changed, until the viewer leaves. A picture only when the last one was drawn."""
        told = None
        while True:
            viewer.turned.clear()
            if (sight := self._sight(name)) != told:
                await served.item(sight)
                told = sight
            picture = self._cast.picture if self._cast is not None else None
            if picture and picture.number != viewer.sent and not viewer.is_drawing:
                viewer.sent, viewer.is_drawing = picture.number, True
                await served.item(picture)
            await viewer.turned.wait()

    def _sight(self, name: str) -> Sight:
        controls = next(iter(self._viewers), "") == name
        return Sight(
            address=self._cast.address[:MAX_SHOWN_CHARS] if self._cast is not None else "",
            title=self._cast.title[:MAX_SHOWN_CHARS] if self._cast is not None else "",
            condition=self._condition,
            reason=self._reason,
            controls=controls,
            locked=lock(self._condition, busy=self._is_busy(), controls=controls),
            viewers=len(self._viewers),
        )

    async def _settle(self) -> None:
        """Run the screencast of the page that is there if, and only if, somebody looks."""
        async with self._turn:
            page = self._footing.page if self.is_watched else None
            if page is self._page and (page is None) == (self._cast is None):
                return
            # One that a leaving viewer did not see begun is begun anew, or ended.
            left, self._cast, self._page = self._cast, None, None
            if left is not None:
                with suppress(BrowserError):  # its page may be gone
                    await left.end()
            for viewer in self._viewers.values():
                viewer.sent = 0  # each screencast counts its own pictures
            if page is not None:
                self._cast = page.screencast()
                self._cast.on_change = self.refresh
                await self._cast.begin()
                self._page = page

    async def _settle_quietly(self) -> None:
        try:
            await self._settle()
        except BrowserGone:
            pass  # which others say, and do something about
        except BrowserError as error:
            log.warning("viewers do not see the page: %s", error)

    # -- act ---------------------------------------------------------------------------------------

    async def _do(self, name: str, act: Act) -> str:
        """Carry out an act; gives why not, if not."""
        if (viewer := self._viewers.get(name)) is None:
            return "the view has ended"
        if isinstance(act, Drawn):
            viewer.is_drawing = False
            viewer.turned.set()
            return ""
        if isinstance(act, Take):
            self._viewers = {name: viewer, **self._viewers}
            self.refresh()
            return ""
        if locked := self._sight(name).locked:
            return locked
        if changes(act):
            self._footing.touched()  # first: a chat may come while the page does it
        try:
            await self._act(act)
        except BrowserError as error:
            return f"the page does not do it: {error}"
        self._on_person()
        return ""

    async def _act(self, act: Input) -> None:
        """What is typed or pressed goes out in the order in which it came; nobody waits for it."""
        if (page := self._footing.page) is None:
            raise BrowserError("there is none")
        if isinstance(act, Go):
            await (page.reload() if act.to == "reload" else page.back())
            return
        if self._unanswered >= MAX_UNANSWERED:
            raise BrowserError("it does not react to what was done before")
        page.dispatch(*command(act), self._on_answer)
        self._unanswered += 1

    def _on_answer(self, reply: Reply) -> None:
        self._unanswered -= 1
        if reply.error:
            log.debug("an act was refused by the page")  # the words may repeat what was typed

    async def close(self) -> None:
        """Nobody is shown anything any more."""
        await self._tasks.close()
