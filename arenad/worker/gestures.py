"""What a person does at a viewer, as DevTools commands; and whether it may be done now: a brain."""

from typing import Any

from arenad.schema.process import Condition
from arenad.schema.view import Compose, Input, Key, Mouse, Text, Wheel

Command = tuple[str, dict[str, Any]]
"""A method of DevTools' Input domain, and its parameters."""

FOR_A_PERSON: frozenset[Condition] = frozenset({"needs_login", "needs_human"})
"""Conditions that only a person ends."""

_MOUSE = {"move": "mouseMoved", "down": "mousePressed", "up": "mouseReleased"}
_HELD = {"none": 0, "left": 1, "right": 2, "middle": 4}


def lock(condition: Condition, *, busy: bool, controls: bool) -> str:
    """Why a viewer may not act now; empty when it may. A running answer is not to be disturbed."""
    if not controls:
        return "another viewer is acting; take over to act here"
    if busy and condition not in FOR_A_PERSON:
        return "a chat is being performed; the page is only shown until it is done"
    return ""


def changes(act: Input) -> bool:
    """Whether the page may be another one after it. Merely pointing at something leaves it so."""
    return not (isinstance(act, Mouse) and act.kind == "move" and act.button == "none")


def command(act: Mouse | Wheel | Key | Text | Compose) -> Command:
    """The one command that carries out an act."""
    match act:
        case Mouse():
            return _mouse(act)
        case Wheel():
            place = {"x": act.x, "y": act.y, "modifiers": act.modifiers}
            turn = {"type": "mouseWheel", "deltaX": act.right, "deltaY": act.down}
            return "Input.dispatchMouseEvent", turn | place
        case Key():
            return _key(act)
        case Text():
            return "Input.insertText", {"text": act.text}
        case Compose():
            end = utf16_length(act.text)
            shown = {"text": act.text, "selectionStart": end, "selectionEnd": end}
            return "Input.imeSetComposition", shown


def _mouse(act: Mouse) -> Command:
    return "Input.dispatchMouseEvent", {
        "type": _MOUSE[act.kind],
        "x": act.x,
        "y": act.y,
        "button": act.button,
        "buttons": 0 if act.kind == "up" else _HELD[act.button],
        "clickCount": act.clicks,
        "modifiers": act.modifiers,
    }


def _key(act: Key) -> Command:
    """A key that writes is `keyDown` with its text; `rawKeyDown` is one that does not."""
    writes = act.kind == "down" and act.text
    kind = "keyUp" if act.kind == "up" else "keyDown" if writes else "rawKeyDown"
    text = {"text": act.text, "unmodifiedText": act.text} if writes else {}
    return "Input.dispatchKeyEvent", {
        "type": kind,
        "key": act.key,
        "code": act.code,
        "windowsVirtualKeyCode": act.number,
        "location": act.location,
        "modifiers": act.modifiers,
        "autoRepeat": act.repeats,
        **text,
    }


def utf16_length(text: str) -> int:
    """How browsers count characters."""
    return len(text) + sum(char > "\uffff" for char in text)
