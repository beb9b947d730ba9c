"""The upstream that obeys: what conformance tries clients of tools with, against our own words."""

import json
from typing import Any

import pytest

from arenad import notation
from arenad.frontend import instruct, schemas
from arenad.frontend.instruct import Emulation, Format, Tool
from arenad.schema.chat import Turn
from arenad.worker.sites.fold import fold
from bench.obedient import WORDS, obeyed

ADD = Tool(
    "add", "", {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "number"}}}
)
NOW = Tool("now")
PERSON = {
    "$defs": {"Age": {"type": "integer"}},
    "properties": {
        "name": {"type": "string"},
        "age": {"anyOf": [{"$ref": "#/$defs/Age"}, {"type": "null"}]},
        "tags": {"type": "array", "items": {"enum": ["x", "y"]}},
    },
}


def told(wanted: Emulation, *said: str) -> str:
    """What it answers to a conversation that user and assistant have in turn."""
    roles = ("user", "assistant")
    turns: Any = [Turn(role=roles[at % 2], text=text) for at, text in enumerate(said)]
    return obeyed([fold(instruct.arranged(turns, [], (), wanted)[0])])


@pytest.mark.parametrize(
    ("wanted", "asked", "expected"),
    [
        (Emulation("tools", (NOW, ADD)), "What is 3 plus 4? add!", ("add", {"a": 3, "b": 4})),
        (Emulation("tools", (ADD, NOW), chosen="now"), "add", ("now", {})),
        (Emulation("tools", (NOW, ADD), choice="required"), "Hello!", ("now", {})),
    ],
)
def test_it_calls_what_it_is_told_to(wanted: Emulation, asked: str, expected: Any) -> None:
    """With the numbers of the request."""
    (block,) = notation.Finder().take(told(wanted, asked))
    assert isinstance(block, notation.Block)
    call = notation.called(block)
    assert call is not None
    assert (call.name, json.loads(call.arguments)) == expected


def test_it_has_words_for_the_rest() -> None:
    """Where no tool is meant, after a result, and without tools."""
    wanted = Emulation("tools", (ADD,))
    assert told(wanted, "Hello!") == WORDS
    result = notation.result("1", "add", "7")
    assert told(wanted, "add 3 and 4", notation.call("add", {}), result) == WORDS
    assert obeyed(["hi", "hello", "add"]) == WORDS


def test_it_makes_an_object_for_a_schema() -> None:
    """Of names and numbers in the text; without a schema with the keys that are quoted."""
    text = told(Emulation("f", format=Format(PERSON)), "Anna is 41 years old.")
    assert json.loads(text) == {"name": "Anna", "age": 41, "tags": ["x"]}
    assert schemas.Judge(PERSON).fault_of(json.loads(text)) == ""
    text = told(Emulation("f", format=Format()), "With 'setup' and 'punchline' keys.")
    assert set(json.loads(text)) == {"setup", "punchline"}
