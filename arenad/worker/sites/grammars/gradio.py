"""Gradio's queue (apps of Gradio 4 to 6): which outputs the messages of `/queue/data` make.

A message names its event. The first `process_generating` of an event brings all outputs, later ones
bring edits of them (protocols sse_v2 and later) or all outputs again (before); `process_completed`
brings all of them. One prompt may make several events: the answer is the one that brings its text.
"""

import copy
from typing import cast

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
EDIT_PARTS = 3
MAX_EVENTS = 256


class GradioQueue:
    """The outputs of each event so far."""

    def __init__(self) -> None:
        """No event has begun."""
        self._outputs: dict[str, list[object]] = {}

    def whole(self, value: object) -> object:
        """The message with all outputs in place of edits; other values as they are."""
        if not isinstance(value, dict):
            return value
        message = cast("dict[str, object]", value)
        match message:
            case {"msg": "process_generating" | "process_completed" as kind, "output": {"data": list(given)}}:
                event = str(message.get("event_id", ""))
                outputs = self._apply(event, kind, cast("list[object]", given))
                shown = [_unwrapped(output) for output in outputs]
                return {**message, "output": {**cast("dict[str, object]", message["output"]), "data": shown}}
            case _:
                return message

    def _apply(self, event: str, kind: str, given: list[object]) -> list[object]:
        known = self._outputs.get(event)
        if kind == "process_completed":
            self._outputs.pop(event, None)
            return given if given or known is None else known
        if known is None or not all(_is_edits(each) for each in given):
            outputs = given
        else:
            padded = known + [None] * (len(given) - len(known))
            edits = given + [[]] * (len(padded) - len(given))
            outputs = [_edited(old, each) for old, each in zip(padded, edits, strict=True)]
        if event in self._outputs or len(self._outputs) < MAX_EVENTS:
            self._outputs[event] = outputs
        return outputs


def failure(value: object) -> str:
    """What a message says went wrong; empty for all others."""
    match value:
        case {"msg": "process_completed", "success": False, "output": {"error": str(text)}} if text:
            return text
        case {"msg": "process_completed", "success": False}:
            return "the app failed without a word"
        case {"msg": "unexpected_error" | "Server stopped unexpectedly." as text}:
            message = cast("dict[str, object]", value).get("message")
            return message if isinstance(message, str) and message else str(text)
        case {"msg": "queue_full"}:
            return "queue_full"
        case _:
            return ""


def completed(value: object) -> bool:
    """Whether an event has ended."""
    return isinstance(value, dict) and value.get("msg") == "process_completed"  # pyright: ignore[reportUnknownMemberType] - any object


def event_of(value: object) -> str:
    """The event that a message is about; empty when it names none."""
    name = cast("dict[str, object]", value).get("event_id") if isinstance(value, dict) else ""
    return name if isinstance(name, str) else ""


def _unwrapped(output: object) -> object:
    match output:
        case {"__type__": "update", "value": inner}:
            return cast("object", inner)
        case _:
            return output


def _is_edits(value: object) -> bool:
    if not isinstance(value, list):
        return False
    edits = cast("list[object]", value)
    return all(
        isinstance(edit, list)
        and len(cast("list[object]", edit)) == EDIT_PARTS
        and edit[0] in ACTIONS
        and isinstance(edit[1], list)
        for edit in edits
    )


def _edited(old: object, edits: object) -> object:
    """The output after these edits; one that does not fit it is left out."""
    try:
        value = copy.deepcopy(old)
    except RecursionError:
        return old
    for action, path, operand in cast("list[tuple[str, list[object], object]]", edits):
        try:
            value = _edit(value, action, path, operand)
        except (LookupError, TypeError, ValueError):
            continue
    return value


def _edit(value: object, action: str, path: list[object], operand: object) -> object:
    if not path:
        return operand if action == "replace" else _sum(value, operand)
    place = cast("dict[object, object]", value)
    for step in path[:-1]:
        place = cast("dict[object, object]", place[step])
    last = path[-1]
    match action:
        case "append":
            place[last] = _sum(place[last], operand)
        case "add" if isinstance(place, list):
            place.insert(int(str(last)), operand)
        case "delete":
            del place[last]
        case _:
            place[last] = operand
    return value


def _sum(value: object, operand: object) -> object:
    """Two texts, or two lists, one behind the other; a half of a pair may meet its other half."""
    if isinstance(value, str) and isinstance(operand, str):
        return json_text.joined(value + operand)
    if isinstance(value, list) and isinstance(operand, list):
        return cast("list[object]", value) + cast("list[object]", operand)
    raise TypeError("these cannot be put together")
