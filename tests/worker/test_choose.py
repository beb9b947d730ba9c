"""The grammar that a profile names."""

from typing import Any, get_args

import pytest
from splits import told

from arenad.schema.chat import Finish, TextDelta
from arenad.schema.profile import AnswerRules, DomRules, GrammarName, StreamRules
from arenad.worker.sites.grammars.choose import grammar_of

ANSWER = AnswerRules(text="t")


@pytest.mark.parametrize("name", get_args(GrammarName))
@pytest.mark.parametrize("sides", ["a", "b", "ab"])
def test_every_name_has_a_grammar(name: Any, sides: str) -> None:
    """For one side, for the other, for both; it reads nothing as nothing."""
    grammar = grammar_of(StreamRules(url_pattern="/", grammar=name, answer=ANSWER), sides)
    assert grammar.feed(b"") == []
    assert not isinstance(grammar.end()[1], Finish)


def test_what_is_in_the_page_needs_no_grammar() -> None:
    """The transport says it."""
    grammar = grammar_of(StreamRules(transport="dom", dom=DomRules(element="p")))
    assert told(grammar, ['{"from":0,"blocks":["hx"]}'])[0] == [TextDelta("x")]


def test_lines_of_the_sdk_have_no_position() -> None:
    """The same codes, bare."""
    grammar = grammar_of(StreamRules(url_pattern="/", grammar="ai-lines"))
    body = (
        b'f:{"messageId":"m"}\n0:"a"\n0:"b"\ne:{"finishReason":"stop"}\nd:{"finishReason":"stop"}\n'
    )
    assert told(grammar, [body]) == ([TextDelta("ab")], Finish("stop"))
    assert grammar.message_id == "m"
