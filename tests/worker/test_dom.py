"""An answer that is read in the page: blocks that change, as one text that grows."""

import json

from hypothesis import given
from hypothesis import strategies as st
from splits import told

from arenad.errors import UpstreamFailed
from arenad.schema.chat import Finish, TextDelta
from arenad.worker.sites.grammars.dom import DomAnswer


def changed(first: int, *blocks: str) -> str:
    return json.dumps({"from": first, "blocks": blocks})


def test_blocks_grow() -> None:
    """Only what is new is passed on; the last block's closers wait."""
    grammar = DomAnswer()
    assert grammar.feed(changed(0, "h<p>a <b>b</b></p>")) == [TextDelta("a **b")]
    assert grammar.feed(changed(0, "h<p>a <b>b c</b></p>")) == [TextDelta(" c")]
    assert grammar.feed(changed(1, "h<pre>x</pre>")) == [TextDelta("**\n\n```\nx")]
    assert grammar.feed(changed(2, "h<p></p>", "h<p>end</p>")) == [TextDelta("\n```\n\nend")]
    assert grammar.end() == ([], Finish("stop"))


def test_a_table_waits_for_its_first_row() -> None:
    """Half a line under its head may make it one of fewer columns for a moment."""
    head = "<tr><th>a</th><th>b</th></tr>"
    grammar = DomAnswer()
    assert grammar.feed(changed(0, "h<p>x</p>", "h<p>| a | b |<br>| -</p>")) == [TextDelta("x")]
    assert grammar.feed(changed(1, "h<table><tr><th>a</th></tr></table>")) == []
    assert grammar.feed(changed(1, f"h<table>{head}</table>")) == []
    row = "<tr><td>1</td><td>2</td></tr>"
    grown = [TextDelta("\n\n| a | b |\n| --- | --- |\n| 1 | 2")]
    assert grammar.feed(changed(1, f"h<table>{head}{row}</table>")) == grown
    assert grammar.end() == ([TextDelta(" |")], Finish("stop"))
    only = [changed(0, f"h<table>{head}</table>")]
    assert told(DomAnswer(), only)[0] == [TextDelta("| a | b |\n| --- | --- |")]


def test_plain_blocks_are_one_text() -> None:
    """A text that is shown as it is may be cut into elements at its line ends."""
    events, outcome = told(DomAnswer(), [changed(0, "ta  b\n\nc\n", "td", "tok ", "h<b>f</b>")])
    assert events == [TextDelta("a  b\n\nc\nd\nok \n\n**f**")]
    assert outcome == Finish("stop")


def test_a_rewritten_answer_is_no_answer() -> None:
    """Blocks before the last one changed after they had been passed on."""
    events, outcome = told(DomAnswer(), [changed(0, "hone", "htwo"), changed(0, "hONE")])
    assert events == [TextDelta("one\n\ntwo")]
    assert outcome == (
        UpstreamFailed,
        "the page rewrote its answer after 8 characters of it had been passed on",
    )


def test_signs_are_failures() -> None:
    """As in every grammar; and nothing at all is one too."""
    grammar = DomAnswer({"Rate limit": "resting"})
    events, outcome = told(grammar, [changed(0, "h<p>Rate"), changed(0, "h<p>Rate limit reached")])
    assert events == []
    assert (
        outcome[1].startswith("the site answers: Rate limit")
        if isinstance(outcome, tuple)
        else False
    )
    assert told(DomAnswer(), []) == ([], (UpstreamFailed, "the site answered with nothing"))


@given(st.lists(st.binary() | st.text() | st.builds(changed, st.integers(-3, 9), st.text())))
def test_nothing_raises(pieces: list[bytes | str]) -> None:
    """Whatever the page says."""
    told(DomAnswer(), pieces)


def test_the_number_of_a_next_item_waits_for_its_dot() -> None:
    """Until then a page draws it as a line of the item before, and what was passed on must stand."""
    grammar = DomAnswer()
    assert grammar.feed(changed(0, "h<ol><li>a</li></ol>")) == [TextDelta("1. a")]
    assert grammar.feed(changed(0, "h<ol><li>a<br>2</li></ol>")) == []
    assert grammar.feed(changed(0, "h<ol><li>a</li><li>b</li></ol>")) == [TextDelta("\n2. b")]
    assert told(DomAnswer(), [changed(0, "h<p>so<br>7</p>")])[0] == [TextDelta("so\n7")]
