"""The one JSON value in a text, whatever stands around it and however it is cut."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arenad.frontend import only_json
from arenad.frontend.only_json import OnlyJson

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
PROSE = st.text(st.characters(exclude_characters="{"))


@given(st.dictionaries(st.text(), VALUES), PROSE, st.text(), st.integers(1, 9), st.booleans())
def test_the_value_alone_is_taken(
    value: dict[str, object], before: str, after: str, size: int, is_ascii: bool
) -> None:
    """As it was written, in pieces of any size."""
    told = json.dumps(value, ensure_ascii=is_ascii)
    text = before + told + after
    only = OnlyJson("{")
    assert "".join(only.take(text[at : at + size]) for at in range(0, len(text), size)) == told
    assert only.value() == (value, "")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "it has no {"),
        ("[1]", "it has no {"),
        ('{"a": "}', "it has no end"),
        ('{"a": "\\', "it has no end"),
        ("{]", "JSON is malformed"),
        ("{1}", "JSON is malformed"),
        ('{"a": "\ud800"}', "surrogates"),
    ],
)
def test_what_is_none_says_why(text: str, fault: str) -> None:
    """In a few words."""
    only = OnlyJson("{")
    only.take(text)
    value, told = only.value()
    assert value is None
    assert fault in told


def test_what_is_held_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A longer value is passed on all the same, and is none in the end."""
    monkeypatch.setattr(only_json, "MAX_CHARS", 5)
    only = OnlyJson("[")
    assert [only.take(each) for each in ("[1, ", "2", "2", "]")] == ["[1, ", "2", "2", "]"]
    assert only.value() == (None, "it is longer than 5 characters")


@pytest.mark.parametrize("text", ['x [{"a": 1}] y', 'x {"a": [1]} y'])
def test_either_bracket_may_begin_it(text: str) -> None:
    """Whichever comes first."""
    only = OnlyJson("{[")
    assert "".join(map(only.take, text)) == text[2:-2]
    assert OnlyJson("{[").value() == (None, "it has no { or [")
