"""Ends an answer where its client wants it ended: at some words, or at a length. A brain: no I/O.

A page knows neither. What counts is what the client is shown: of a call its name and arguments.
Text that may be the beginning of a stop sequence is held back until it is known whether it is; all
else goes on at once. Of two answers each is ended by itself.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from arenad.conversation import text_of
from arenad.frontend.tokens import Meter
from arenad.frontend.vocabulary import Shown, Stopped, ToolCall, Wish
from arenad.schema.chat import (
    Began,
    Citation,
    Finish,
    Heartbeat,
    Image,
    ReasoningDelta,
    SideFailed,
    TextDelta,
)

_Content = TextDelta | ReasoningDelta | Image | Citation | ToolCall
_Sided = _Content | Finish | SideFailed


class Cutter:
    """Takes an answer's events and gives those that the client is to see."""

    def __init__(self, wish: Wish, expected: int) -> None:
        """Nothing has come; so many sides may answer."""
        self._expected = expected
        self._wish = wish
        self._sides: dict[int, _Side] = {}
        self.is_over = False
        """Whether nothing that comes would be shown."""

    def take(self, event: Shown) -> Sequence[Shown]:
        """What is shown once this has come.

        How a side was cut is said at its own end; or at once, when no other is waited for.
        """
        if isinstance(event, Heartbeat | Began):
            return (event,)
        if event.side not in self._sides:
            self._sides[event.side] = _Side(self._wish, event.side)
        shown = self._sides[event.side].take(event)
        if sum(side.is_closed for side in self._sides.values()) >= self._expected:
            for side in self._sides.values():
                if side.finish is not None:
                    shown.append(side.finish)
                    self.is_over = True
        return shown


class _Side:
    """One of at most two answers. `finish` is how it was cut, until that is said."""

    def __init__(self, wish: Wish, number: int) -> None:
        self.finish: Finish | None = None
        self.is_closed = False
        self._number = number
        self._finder = StopFinder(wish.stops)
        self._meter = Meter()
        self._most = wish.max_tokens

    def take(self, event: _Sided) -> list[Shown]:
        """What is shown of it."""
        if isinstance(event, Finish | SideFailed):
            return self._end(event)
        if self.is_closed:
            return []
        match event:
            case TextDelta(text):
                said, stop = self._finder.take(text)
                shown = self._within(TextDelta(said, self._number), said)
                if stop and not self.is_closed:
                    self._cut(Stopped("stop", self._number, stop))
                return shown
            case ReasoningDelta(text):
                return self._within(event, text)
            case ToolCall(name=name, arguments=arguments):
                return self._whole(event, name + arguments)
            case Image() | Citation():
                return self._whole(event, text_of(event))

    def _whole(self, event: Image | Citation | ToolCall, text: str) -> list[Shown]:
        """All of it or nothing, after what was held back."""
        rest = self._rest()
        return rest if self.is_closed else [*rest, *self._within(event, text)]

    def _end(self, event: Finish | SideFailed) -> list[Shown]:
        shown = [] if self.is_closed else self._rest()
        shown.append(self.finish or event)
        self.is_closed, self.finish = True, None
        return shown

    def _rest(self) -> list[Shown]:
        """What was held back, and begins no stop sequence after all."""
        text = self._finder.rest()
        return self._within(TextDelta(text, self._number), text)

    def _within(self, event: _Content, text: str) -> list[Shown]:
        """As much of it as the length allows."""
        if not text and isinstance(event, TextDelta):
            return []
        left = self._meter.left(text, self._most) if self._most is not None else None
        if left is None:
            return [event]
        self._cut(Finish("length", self._number))
        if not left or isinstance(event, Image | Citation | ToolCall):
            return []
        return [replace(event, text=left)]

    def _cut(self, finish: Finish) -> None:
        self.is_closed, self.finish = True, finish


class StopFinder:
    """Looks for the first of some texts in one that comes in pieces: the first to be complete."""

    def __init__(self, stops: Sequence[str]) -> None:
        """None of the stops is empty."""
        self._stops = stops
        self._held = ""

    def take(self, piece: str) -> tuple[str, str]:
        """What may be shown now; and the text that was found, else nothing."""
        text = self._held + piece
        found = [(at + len(stop), at, stop) for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:
            _, at, stop = min(found)
            self._held = ""
            return text[:at], stop
        border = min((_beginning(text, stop) for stop in self._stops), default=len(text))
        self._held = text[border:]
        return text[:border], ""

    def rest(self) -> str:
        """What was held back; it is no more."""
        rest, self._held = self._held, ""
        return rest


def _beginning(text: str, stop: str) -> int:
    """Where at the text's end the stop may have begun; the end itself if nowhere."""
    at = text.find(stop[0], max(0, len(text) - len(stop) + 1))
    while at >= 0 and not stop.startswith(text[at:]):
        at = text.find(stop[0], at + 1)
    return len(text) if at < 0 else at
