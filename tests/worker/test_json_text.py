"""JSON and text as pages really write them."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arenad.worker.sites.grammars import json_text
from arenad.worker.sites.grammars.json_text import UNREADABLE, Halves


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        (r'{"a": "\ud83d"}', {"a": "\ud83d"}),
        (r'"\ud83d\ude00"', "😀"),
        ("NaN", UNREADABLE),
        ("", UNREADABLE),
        ("{", UNREADABLE),
        ("[" * 100_000, UNREADABLE),
        ("\ud800", UNREADABLE),
        ("9" * 5000, UNREADABLE),
    ],
)
def test_values(text: str, value: Any) -> None:
    """Halves of pairs stay in it; nonsense and endless nesting are no value."""
    assert json_text.decode(text) == value


@given(st.text(st.characters()))
def test_any_text_raises_nothing(text: str) -> None:
    """Whatever it is."""
    json_text.decode(text)
    json_text.encode(text)
    json_text.whole(text).encode()


@given(st.text(), st.data())
def test_halves_meet(text: str, drawn: st.DataObject) -> None:
    """A text cut between any UTF-16 units is whole again."""
    units = text.encode("utf-16-le")
    count = len(units) // 2
    cuts = sorted(drawn.draw(st.sets(st.integers(0, count), max_size=6)) | {0, count})
    halves = Halves()
    parts = [units[2 * a : 2 * b].decode("utf-16-le", "surrogatepass") for a, b in pairwise(cuts)]
    assert "".join(map(halves.join, parts)) + halves.rest() == text


def test_a_half_without_the_other() -> None:
    """Comes out as the replacement character, at the end at the latest."""
    halves = Halves()
    assert halves.join("a\ud83d") == "a"
    assert halves.join("b") == "\ufffdb"
    assert halves.join("\ude00\ud83d") == "\ufffd"
    assert halves.rest() == "\ufffd"
    assert halves.rest() == ""
    assert json_text.joined("\ud83d\ude00\ud83d") == "😀\ud83d"


def test_a_value_is_shown() -> None:
    """For messages; what cannot be shown is said to be so."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert json_text.encode({"é": "\ud800"}) == json.dumps({"é": "\ufffd"}, ensure_ascii=False)
    assert json_text.encode(deep) == "(a value that nests too deep)"
