"""The path language of profiles, as it is written."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arenad.schema import path
from arenad.schema.path import Condition, EventName, Every, Inside, Itself


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("a", ("a",)),
        ("choices.0.delta.content", ("choices", 0, "delta", "content")),
        (" a.-1.b ", ("a", -1, "b")),
        ("a.*.b", ("a", Every(), "b")),
        ("$value", (Itself(),)),
        ("$event", (EventName(),)),
        ("a.$json.b", ("a", Inside(), "b")),
        ('"a.b".c', ("a.b", "c")),
        ("a-b_c.d", ("a-b_c", "d")),
        ("競技.場", ("競技", "場")),
        ("a.*[b=c].d", ("a", Every(), Condition(("b",), frozenset({"c"}), True), "d")),
        ("[b.c!=d|e].f", (Condition(("b", "c"), frozenset({"d", "e"}), False), "f")),
        ("a when b=c", (Condition(("b",), frozenset({"c"}), True), "a")),
        (
            "a when $event=x y|z and b.0!=1",
            (
                Condition((EventName(),), frozenset({"x y", "z"}), True),
                Condition(("b", 0), frozenset({"1"}), False),
                "a",
            ),
        ),
        ("a when b=", (Condition(("b",), frozenset({""}), True), "a")),
    ],
)
def test_paths_are_read(text: str, steps: tuple[object, ...]) -> None:
    """Keys, places, every item, conditions, names of events, JSON inside of text."""
    assert path.parse(text) == steps


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        ".",
        "a.",
        ".a",
        "a..b",
        "a b",
        "a[b=c",
        "a.[b=c]",
        "[b=c]a",
        '"',
        "a when",
        "a when b",
        "a when =c",
        "a when b=c and d",
        "x" * 501,
    ],
)
def test_what_is_no_path_is_refused(text: str) -> None:
    """With a message that says what to write."""
    with pytest.raises(ValueError, match=r"is no path|is no condition|is longer"):
        path.parse(text)


@given(st.text(st.sampled_from('ab01-.*[]=!|"$ é')))
def test_no_text_does_anything_else(text: str) -> None:
    """A path, or a ValueError."""
    with suppress(ValueError):
        assert path.parse(text)


def test_one_or_several() -> None:
    """A profile may write one path or a list of them."""
    assert path.parse_all("a.b") == (("a", "b"),)
    assert path.parse_all(("a", "b")) == (("a",), ("b",))
    assert path.parse_all(()) == ()
