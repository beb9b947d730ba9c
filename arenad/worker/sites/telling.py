"""Passes an answer on to who asked for it, and keeps of it what its conversation needs."""

from collections.abc import Awaitable, Callable

from arenad.conversation import text_of
from arenad.schema.chat import Began, Citation, Course, Event, Image, TextDelta

KEPT_CHARS = 1024 * 1024
"""No client sends more than this back as one answer, so that nothing of a longer one is kept."""

Emit = Callable[[Event], Awaitable[None]]
"""Takes an answer's events, one after another; awaited, so that who reads slowly is waited for."""


class Telling:
    """One answer, or two side by side, as they are told."""

    def __init__(self, emit: Emit) -> None:
        """Nothing has been told."""
        self.has_told = False
        """Whether anything of an answer has: then it cannot be asked for once more."""

        self._emit = emit
        self._began: Began | None = None
        self._texts: dict[int, list[str]] = {}
        self._chars = 0

    @property
    def texts(self) -> tuple[str, ...]:
        """The whole text of each side so far, as clients get it; none where it is too long."""
        return tuple("".join(pieces) for pieces in self._texts.values())

    async def began(self, course: Course, session_id: str, message_id: str) -> None:
        """The message is sent; told when it is new, or more is known of it."""
        began = Began(course, session_id, message_id)
        if began != self._began:
            self._began = began
            await self._emit(began)

    async def event(self, event: Event) -> None:
        """Tell one event of the answer."""
        self.has_told = True
        if isinstance(event, TextDelta | Image | Citation):
            self._keep(event.side, text_of(event))
        await self._emit(event)

    def _keep(self, side: int, text: str) -> None:
        self._chars += len(text)
        if self._chars <= KEPT_CHARS:
            self._texts.setdefault(side, []).append(text)
        else:
            self._texts.clear()
