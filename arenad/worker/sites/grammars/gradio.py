"""Gradio's queue (apps of Gradio 4 to 6): which outputs the messages of `/queue/data` make.

A message names its event. The first `process_generating` of an event brings all outputs, later ones
bring edits of them (protocols sse_v2 and later) or all outputs again (before); `process_completed`
brings all of them. One prompt may make several events: the answer is the one that brings its text.
"""

import copy
from contextlib import suppress
from typing import cast

import msgspec

from arenad.schema.profile import AnswerRules
from arenad.worker.sites.grammars import json_text

ANSWER = AnswerRules(
    text=(
        "output.data.*.-1[role=assistant].content",
        "output.data.*.-1[role=assistant].content.*[type=text].text",
        "output.data.*.-1.1",
    ),
    mode="replace",
    cursor="▌",
)
"""The last entry of a chatbot, in each of its three forms."""

ACTIONS = ("append", "replace", "add", "delete")
MAX_EVENTS = 256
GENERATING, COMPLETED, QUEUE_FULL = "process_generating", "process_completed", "queue_full"

_Edit = tuple[str, list[str | int], object]
"""An action, where, and with what."""


class GradioQueue:
    """The outputs of each event so far."""

    def __init__(self) -> None:
        """No event has begun."""
        self._outputs: dict[str, list[object]] = {}

    def whole(self, value: object) -> object:
        """The message with all outputs in place of edits; other values as they are."""
        message = _object(value)
        output = _object(message.get("output"))
        given = output.get("data")
        kind = message.get("msg")
        if not isinstance(given, list) or kind not in (GENERATING, COMPLETED):
            return value
        outputs = self._apply(
            event_of(value), cast("list[object]", given), is_last=kind == COMPLETED
        )
        shown = [_unwrapped(each) for each in outputs]
        return {**message, "output": {**output, "data": shown}}

    def _apply(self, event: str, given: list[object], *, is_last: bool) -> list[object]:
        known = self._outputs.get(event)
        if is_last:
            self._outputs.pop(event, None)
            return given if given or known is None else known
        edits = [_edits(each) for each in given]
        if known is None or None in edits:
            outputs = given
        else:
            outputs = known + [None] * (len(given) - len(known))
            for place, each in enumerate(edits):
                outputs[place] = _edited(outputs[place], each or [])
        if event in self._outputs or len(self._outputs) < MAX_EVENTS:
            self._outputs[event] = outputs
        return list(outputs)


def failure(value: object) -> str:
    """What a message says went wrong; empty for all others."""
    message = _object(value)
    match message.get("msg"):
        case "process_completed" if message.get("success") is False:
            said = _object(message.get("output")).get("error")
            return said if isinstance(said, str) and said else "the app failed without a word"
        case "unexpected_error" | "Server stopped unexpectedly." as kind:
            said = message.get("message")
            return said if isinstance(said, str) and said else str(kind)
        case "queue_full":
            return QUEUE_FULL
        case _:
            return ""


def is_completed(value: object) -> bool:
    """Whether an event has ended."""
    return _object(value).get("msg") == COMPLETED


def event_of(value: object) -> str:
    """The event that a message is about; empty when it names none."""
    name = _object(value).get("event_id")
    return name if isinstance(name, str) else ""


def _object(value: object) -> dict[str, object]:
    """The fields of an object; none of what is no object."""
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def _unwrapped(output: object) -> object:
    fields = _object(output)
    return fields["value"] if fields.get("__type__") == "update" and "value" in fields else output


def _edits(value: object) -> list[_Edit] | None:
    """The edits of one output, or None when it is the output itself."""
    try:
        edits = msgspec.convert(value, list[_Edit])
    except (msgspec.ValidationError, RecursionError):
        return None
    return edits if all(action in ACTIONS for action, _, _ in edits) else None


def _edited(value: object, edits: list[_Edit]) -> object:
    """The output after these edits; one that does not fit it is left out."""
    for action, path, operand in edits:
        with suppress(LookupError, TypeError, ValueError, RecursionError):
            value = _edit(value, action, path, operand)
    return value


def _edit(value: object, action: str, path: list[str | int], operand: object) -> object:
    """A new value; what the path does not touch is the same object in both."""
    if not path:
        return operand if action == "replace" else _sum(value, operand)
    place = cast("dict[str | int, object]", copy.copy(value))  # or a list, whose places are numbers
    first, *rest = path
    if rest or action == "append":
        place[first] = _edit(place[first], action, rest, operand)
    elif action == "delete":
        del place[first]
    elif action == "add" and isinstance(place, list):
        cast("list[object]", place).insert(int(first), operand)
    else:
        place[first] = operand
    return place


def _sum(value: object, operand: object) -> object:
    """Two texts, or two lists, one behind the other; a half of a pair may meet its other half."""
    if isinstance(value, str) and isinstance(operand, str):
        is_in_a_pair = "\ud800" <= value[-1:] <= "\udbff"
        return json_text.joined(value + operand) if is_in_a_pair else value + operand
    if isinstance(value, list) and isinstance(operand, list):
        return cast("list[object]", value) + cast("list[object]", operand)
    raise TypeError("these cannot be put together")
