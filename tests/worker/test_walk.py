"""Paths through what a page received."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arenad.schema.path import parse_all
from arenad.worker.sites.grammars import walk
from arenad.worker.sites.grammars.protobuf import Fields
from arenad.worker.sites.grammars.walk import Received

VALUE = {
    "a": [{"b": "x", "k": 1}, {"b": "y", "k": 2}],
    "c": {"d": None, "e": False, "f": 0.5},
    "raw": '{"in": ["z"]}',
    "3": "three",
    "type": "token",
}


@pytest.mark.parametrize(
    ("paths", "found"),
    [
        ("a.0.b", ["x"]),
        ("a.-1.b", ["y"]),
        ("a.9.b", []),
        ("a.*.b", ["x", "y"]),
        ("a.*[k=2].b", ["y"]),
        ("a.*[k!=2].b", ["x"]),
        ("a.*[k=1|2].b", ["x", "y"]),
        ("c.*", [False, 0.5]),
        ("c.d", []),
        ("3", ["three"]),
        ("raw.$json.in.0", ["z"]),
        ("type.$json", []),
        ("$event", ["delta"]),
        ("a.0.b when type=token", ["x"]),
        ("a.0.b when type=other", []),
        ("a.0.b when c.e=false and $event=delta", ["x"]),
        ("a.0.b when missing!=1", ["x"]),
        ("a.0.b when c.d=null", ["x"]),
        (("a.1.b", "no", "a.0.b"), ["y", "x"]),
        ("a.0.b.0", []),
        ("a.b", []),
    ],
)
def test_what_stands_there(paths: str | tuple[str, ...], found: list[Any]) -> None:
    """Keys, places, every one, conditions, names; null is nothing."""
    received = Received(VALUE, "delta")
    got = walk.found(received, parse_all(paths))
    assert [value for value in got if type(value).__name__ != "_Unreadable"] == found


def test_the_value_itself() -> None:
    """A stream may bring bare texts."""
    assert walk.texts(Received("x", "m"), parse_all("$value when $event=m")) == ["x"]


def test_a_word_of_each_kind() -> None:
    """As JSON writes it, a text without its quotes."""
    values = [True, None, 3, 0.5, "é\ud800", [1], {"a": "é"}, Fields(b"x"), Fields(b"\xff")]
    words = ["true", "null", "3", "0.5", "é\ufffd", "[1]", '{"a": "é"}', "x", ""]
    assert [walk.word(value) for value in values] == words


def test_all_of_it_is_taken() -> None:
    """An answer in thousands of parts loses none of them."""
    assert len(walk.found(Received(list(range(20_000))), parse_all("*"))) == 20_000


PATHS = st.sampled_from(
    ["a.*.b", "$value", "*.*", "0.a", "a when b=1", "*[a=b].c", "a.$json.b", "-1.-1"]
)


@given(
    PATHS,
    st.recursive(
        st.none() | st.text() | st.integers(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    ),
)
def test_nothing_raises(path: str, value: Any) -> None:
    """Any path, any value."""
    walk.texts(Received(value), parse_all(path))
    walk.first(Received(value), parse_all(path))
