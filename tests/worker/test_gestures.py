"""gestures: what a person does becomes DevTools commands; and when it may."""

import pytest

from arenad.schema.view import Compose, Go, Input, Key, Mouse, Text, Wheel
from arenad.worker.gestures import changes, command, lock


def test_a_press_is_a_press_at_its_place() -> None:
    """With the button, how many clicks, what is held; a release holds no button any more."""
    act = Mouse(kind="down", x=3.5, y=4, button="left", clicks=2, modifiers=8)
    assert command(act) == (
        "Input.dispatchMouseEvent",
        {
            "type": "mousePressed",
            "x": 3.5,
            "y": 4,
            "button": "left",
            "buttons": 1,
            "clickCount": 2,
            "modifiers": 8,
        },
    )
    _, up = command(Mouse(kind="up", x=0, y=0, button="right", clicks=1))
    assert (up["type"], up["button"], up["buttons"]) == ("mouseReleased", "right", 0)
    _, drag = command(Mouse(kind="move", x=0, y=0, button="middle"))
    assert (drag["type"], drag["buttons"]) == ("mouseMoved", 4)


@pytest.mark.parametrize(
    ("act", "is_change"),
    [
        (Mouse(kind="move", x=1, y=1), False),
        (Mouse(kind="move", x=1, y=1, button="left"), True),
        (Mouse(kind="down", x=1, y=1, button="left"), True),
        (Wheel(x=1, y=1, down=5), True),
        (Key(kind="down", key="a", text="a"), True),
        (Text(text="a"), True),
        (Go(to="back"), True),
    ],
)
def test_only_pointing_changes_nothing(act: Input, is_change: bool) -> None:
    """A drag may, as all else that reaches the page."""
    assert changes(act) is is_change


def test_a_wheel_turns_both_ways() -> None:
    """Right and down, in pixels."""
    _, turn = command(Wheel(x=1, y=2, right=-3, down=4))
    assert (turn["type"], turn["deltaX"], turn["deltaY"]) == ("mouseWheel", -3, 4)


@pytest.mark.parametrize(
    ("act", "kind", "text"),
    [
        (Key(kind="down", key="a", text="a"), "keyDown", "a"),
        (Key(kind="down", key="Tab"), "rawKeyDown", None),
        (Key(kind="up", key="a", text="a"), "keyUp", None),
    ],
)
def test_only_a_key_that_writes_has_a_text(act: Key, kind: str, text: str | None) -> None:
    """Else Chromium would write it once more."""
    method, told = command(act)
    assert method == "Input.dispatchKeyEvent"
    assert (told["type"], told.get("text")) == (kind, text)


def test_composed_text_is_shown_and_then_written() -> None:
    """The cursor stands behind it, counted as browsers count."""
    assert command(Compose(text="か😀"))[1]["selectionEnd"] == 3
    assert command(Text(text="書く")) == ("Input.insertText", {"text": "書く"})


def test_what_is_typed_is_not_in_a_representation() -> None:
    """Logs and tracebacks show those."""
    for act in (Key(kind="down", key="s", text="s"), Text(text="secret"), Compose(text="secret")):
        assert "s'" not in repr(act)
        assert "secret" not in repr(act)


@pytest.mark.parametrize(
    ("condition", "busy", "controls", "said"),
    [
        ("ready", False, True, ""),
        ("ready", True, True, "a chat is being performed"),
        ("needs_human", True, True, ""),
        ("needs_login", True, True, ""),
        ("needs_human", False, False, "another viewer is acting"),
    ],
)
def test_a_running_answer_is_not_disturbed(
    condition: str, busy: bool, controls: bool, said: str
) -> None:
    """But where a person is needed, one may act; and it is one at a time."""
    told = lock(condition, busy=busy, controls=controls)
    assert told.startswith(said)
    assert bool(told) is bool(said)
