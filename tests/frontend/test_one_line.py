"""one_line: what every reader of lines takes for one line, and every reader of JSON for the same."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arenad.frontend.api import VOCABULARIES
from arenad.frontend.one_line import encode
from arenad.frontend.vocabulary import Wish
from arenad.schema.chat import TextDelta

ENDS = "\x0a\x0b\x0c\x0d\x1c\x1d\x1e\x85\u2028\u2029"
"""All that `str.splitlines` splits at."""

WISH = Wish(model="m", turns=(), stream=True, include_usage=False, ignored=())
STREAMED = [path for path in VOCABULARIES if "images" not in path]


@given(st.text(st.sampled_from(f'{ENDS}a\\"é\u2027\U0001f600\xc2')))
def test_it_is_one_line_and_the_same(text: str) -> None:
    """Whatever is in it."""
    encoded = encode({text: text})
    assert len(encoded.decode().splitlines()) == 1
    assert json.loads(encoded) == {text: text}


@pytest.mark.parametrize("path", STREAMED)
def test_no_event_is_broken(path: str) -> None:
    """In no vocabulary."""
    writer: Any = VOCABULARIES[path].writer("1", WISH, 0)
    frames = writer.first() + writer.event(TextDelta(ENDS))
    assert frames.decode().splitlines() == frames.decode().split("\n")[:-1]
