"""What a model made of its instructions (`instruct`): an answer's text read as calls and JSON.

A brain: no I/O. Text goes on at once but for what may become a call; of two answers each is read by
itself. What is no call of a tool that was given stays the text that it is.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from arenad import notation
from arenad.errors import NotObeyed, NoToolCalled, NotTheFormat
from arenad.frontend import instruct, schemas
from arenad.frontend.instruct import Emulation, Tool
from arenad.frontend.only_json import OnlyJson
from arenad.frontend.vocabulary import Shown, ToolCall
from arenad.schema.chat import (
    Began,
    Citation,
    Event,
    Finish,
    Heartbeat,
    Image,
    ReasoningDelta,
    SideFailed,
    TextDelta,
    failure_of,
)

MAX_SAID_CHARS = 64 * 1024
"""A longer answer that is not as wanted is not asked for once more."""

_Content = TextDelta | ReasoningDelta | Image | Citation


class Reader:
    """Takes an answer's events and gives those that the client is to see."""

    def __init__(self, wanted: Emulation, expected: int, new_id: Callable[[], str]) -> None:
        """Nothing has come; so many sides may answer. `new_id` gives each call its own."""
        self._wanted = wanted
        self._expected = expected
        self._new_id = new_id
        self._sides: dict[int, _Side] = {}
        self.is_over = False
        """Whether nothing that comes would be shown."""

    def take(self, event: Event) -> Sequence[Shown]:
        """What is shown once this has come. Raises `NotObeyed` where no side is as wanted."""
        if isinstance(event, Heartbeat | Began):
            return (event,)
        if event.side not in self._sides:
            self._sides[event.side] = _Side(self._wanted, event.side, self._new_id)
        side = self._sides[event.side]
        if side.is_closed:
            return ()
        match event:
            case Finish():
                return self._finished(side, event)
            case SideFailed():
                side.is_closed = True
                return [*side.rest(), event]
            case _:
                shown = side.take(event)
                if side.is_enough:
                    shown += self._finished(side, Finish("stop", event.side))
                    self.is_over = self._closed() >= self._expected
                return shown

    def _finished(self, side: "_Side", finish: Finish) -> list[Shown]:
        shown: list[Shown] = side.rest()
        side.is_closed = True
        error = side.error(finish)
        if error is None:
            side.is_whole = True
            return [*shown, finish]
        is_last = self._closed() >= self._expected
        if is_last and not any(each.is_whole for each in self._sides.values()):
            if self._expected == 1:
                error.said = side.said
            raise error
        return [*shown, SideFailed(failure_of(error), finish.side)]

    def _closed(self) -> int:
        return sum(each.is_closed for each in self._sides.values())


class _Side:
    """One answer. `is_enough` once it may say no more; `is_whole` if it ended as wanted."""

    def __init__(self, wanted: Emulation, number: int, new_id: Callable[[], str]) -> None:
        self.is_closed = False
        self.is_whole = False
        self.is_enough = False
        self._wanted = wanted
        self._number = number
        self._new_id = new_id
        self._tools = _callable(wanted)
        self._finder = notation.Finder()
        self._judges: dict[str, schemas.Judge] = {}
        form = wanted.format
        self._json = OnlyJson(_OPENINGS[instruct.kind_of(form)]) if form is not None else None
        self._texts: list[str] = []
        self._chars = 0
        self._has_called = False
        self._has_said = False
        self._is_after_call = False

    def take(self, event: _Content) -> list[Shown]:
        """What is shown of it."""
        match event:
            case TextDelta(text):
                self._chars += len(text)
                if self._chars <= MAX_SAID_CHARS:
                    self._texts.append(text)
                return self._shown(self._finder.take(text))
            case Image() | Citation():
                if self._json is not None:
                    return []  # it has no place there
                self._has_said = True
                return [*self.rest(), event]
            case ReasoningDelta():
                return [event]

    def rest(self) -> list[Shown]:
        """What was held back."""
        return self._shown(self._finder.rest())

    @property
    def said(self) -> str:
        """All of its text as the page has it; nothing if it is too long."""
        return "".join(self._texts) if self._chars <= MAX_SAID_CHARS else ""

    def error(self, finish: Finish) -> NotObeyed | None:
        """Why an answer that ends so is not what was wanted; a cut one is no fault of the model."""
        if finish.reason != "stop" or self._has_called:
            return None
        if self._wanted.chosen or self._wanted.choice == "required":
            wanted = f"the tool {self._wanted.chosen}" if self._wanted.chosen else "any tool"
            return NoToolCalled(f"the model was told to, and did not call {wanted}")
        fault = self._fault()
        return (
            NotTheFormat(f"the answer is not the JSON that was wanted: {fault}") if fault else None
        )

    def _fault(self) -> str:
        """What is wrong with the JSON, if any is wanted."""
        if self._json is None:
            return ""
        value, fault = self._json.value()
        schema = self._wanted.format.schema if self._wanted.format else None
        return fault or (schemas.Judge(schema).fault_of(value) if schema is not None else "")

    def _shown(self, found: Sequence[str | notation.Block]) -> list[Shown]:
        shown: list[Shown] = []
        for each in found:
            if self.is_enough:
                break
            call = self._called(each) if isinstance(each, notation.Block) else None
            if call is not None:
                self._has_called = self._is_after_call = True
                self.is_enough = not self._wanted.is_parallel
                shown.append(ToolCall(self._new_id(), call.name, call.arguments, self._number))
                continue
            text = each.text if isinstance(each, notation.Block) else each
            if text := self._json.take(text) if self._json is not None else self._said(text):
                shown.append(TextDelta(text, self._number))
        return shown

    def _called(self, block: notation.Block) -> notation.Call | None:
        """The call, if it is one of a tool that may be called, by its rules."""
        call = notation.called(block)
        tool = self._tools.get(call.name) if call is not None else None
        if call is None or tool is None:
            return None
        if tool.is_strict and tool.parameters is not None:
            value = msgspec.json.decode(call.arguments)
            judge = self._judges.setdefault(tool.name, schemas.Judge(tool.parameters))
            return None if judge.fault_of(value) else call
        return call

    def _said(self, text: str) -> str:
        """Text as it is shown: between it and text before a call there is an empty line."""
        if self._is_after_call:
            text = text.lstrip()
            if not text:
                return ""
            text = f"\n\n{text}" if self._has_said else text
            self._is_after_call = False
        self._has_said = True
        return text


_OPENINGS: Mapping[instruct.Kind, str] = {"object": "{", "array": "[", "object or array": "{["}


def _callable(wanted: Emulation) -> Mapping[str, Tool]:
    chosen = wanted.chosen
    return {each.name: each for each in wanted.tools if chosen in {"", each.name}}
