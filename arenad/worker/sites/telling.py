"""Passes an answer on to who asked for it, and keeps of it what its conversation needs."""

from collections.abc import Awaitable, Callable

from arenad.conversation import text_of
from arenad.schema.chat import Began, Citation, Course, Event, Image, TextDelta

Emit = Callable[[Event], Awaitable[None]]


class Telling:
    """One answer, or two side by side, as they are told."""

    def __init__(self, emit: Emit) -> None:
        """Nothing has been told."""
        self.has_told = False
        """Whether anything of an answer has: then it cannot be asked for once more."""

        self._emit = emit
        self._began: Began | None = None
        self._texts: dict[int, list[str]] = {}

    @property
    def texts(self) -> tuple[str, ...]:
        """The whole text of each side so far, as clients get it."""
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
            self._texts.setdefault(event.side, []).append(text_of(event))
        await self._emit(event)
