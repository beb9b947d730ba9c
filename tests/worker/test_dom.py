"""An answer that is read in the page: blocks that change, as one text that grows."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from splits import told

from arenad.errors import UpstreamFailed
from arenad.schema.chat import Finish, Heartbeat, TextDelta
from arenad.worker.sites.grammars import dom
from arenad.worker.sites.grammars.dom import DomAnswer
from arenad.worker.sites.grammars.markdown import to_markdown


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


LOOKS = st.lists(st.integers(0, 400), max_size=8)


@given(st.lists(st.text("ab*`| \n\u7af6", min_size=1), min_size=1, max_size=6), LOOKS)
def test_what_was_seen_between_changes_nothing(blocks: list[str], looks: list[int]) -> None:
    """However often, and wherever, a page is looked at while it writes, the text is that of its end."""
    shown: list[str] = []
    pieces: list[bytes | str] = []
    for chars in [*sorted(looks), sum(map(len, blocks))]:
        now = _first_chars(blocks, chars)
        first = next(
            (n for n, (a, b) in enumerate(zip(shown, now, strict=False)) if a != b), len(shown)
        )
        pieces.append(changed(first, *now[first:]))
        shown = now
    assert told(DomAnswer(), pieces) == told(DomAnswer(), [changed(0, *shown)])


def _first_chars(blocks: list[str], chars: int) -> list[str]:
    """So much of the blocks, each as the watch tells a plain one."""
    begun: list[str] = []
    for block in blocks:
        if chars > 0:
            begun.append(f"t{block[:chars]}")
        chars -= len(block)
    return begun


def test_code_waits_for_the_end_of_its_fence() -> None:
    """Where a page draws it as paragraphs until then; two backticks in a line are no fence."""
    grammar = DomAnswer()
    open_code = ("h<p>```c++<br>\na</p>", "h<p>b`` c</p>")
    assert grammar.feed(changed(0, "h<p>x</p>", *open_code)) == [TextDelta("x")]
    assert grammar.feed(changed(1, "h<p>``<code>a\n\nb</code></p>", "h<p>c</p>")) == []
    assert grammar.feed(changed(1, "h<pre>a\n\nb</pre>", "h<p>``c`` d</p>", "h<p>e</p>")) == [
        TextDelta("\n\n```\na\n\nb\n```\n\n``c`` d\n\ne")
    ]
    assert grammar.end() == ([], Finish("stop"))
    assert told(DomAnswer(), [changed(0, "h<p>x</p>", *open_code)])[0] == [
        TextDelta("x\n\n```c++\na\n\nb`` c")
    ]


def test_a_fence_is_closed_by_one_as_long_as_itself() -> None:
    """Two of its three backticks are there; until then `<T>` is a tag to the page, and not told."""
    grammar = DomAnswer()
    half = "h<p>```\nstart()\nc = <t>d;\n\n</t></p>"
    assert grammar.feed(changed(0, "h<p>x</p>", half, "h<p>end()\n``</p>")) == [TextDelta("x")]
    assert grammar.feed(changed(1, "h<pre>start()\nc = &lt;T&gt;d;\n\nend()</pre>")) == [
        TextDelta("\n\n```\nstart()\nc = <T>d;\n\nend(")
    ]
    assert grammar.end() == ([TextDelta(")\n```")], Finish("stop"))


def test_the_marks_of_a_heading_wait_for_its_words() -> None:
    """Half of them may be a heading of the other half."""
    grammar = DomAnswer()
    assert grammar.feed(changed(0, "h<p>a</p>", "h<h1>#</h1>")) == [TextDelta("a")]
    assert grammar.feed(changed(1, "h<h3>b</h3>")) == [TextDelta("\n\n### b")]


def test_a_heading_waits_for_what_follows() -> None:
    """A line of text is one for as long as only the dash of a next item stands under it."""
    grammar = DomAnswer()
    assert grammar.feed(changed(0, "h<p>a</p>", "h<h2>b</h2>")) == [TextDelta("a")]
    items = [TextDelta("\n\nb\n\n- c")]
    assert grammar.feed(changed(1, "h<p>b</p>", "h<ul><li>c</li></ul>")) == items
    assert grammar.feed(changed(2, "h<ul><li>c</li><li><h2>d</h2></li></ul>")) == []
    assert grammar.feed(changed(2, "h<ul><li>c</li><li>d<ul><li>e</li></ul></li></ul>")) == [
        TextDelta("\n- d\n  - e")
    ]
    assert told(DomAnswer(), [changed(0, "h<h2>b</h2>")])[0] == [TextDelta("## b")]


def test_a_long_block_is_not_read_at_each_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the end it is, and what comes behind it is read at once."""
    read: list[int] = []

    def counted(html: str, told: list[int]) -> str:
        read.append(len(html))
        return to_markdown(html, told)

    monkeypatch.setattr(dom, "to_markdown", counted)
    code = "".join(f"line {number}\n" for number in range(1000))
    looks = [changed(0, f"h<pre>{code[:chars]}</pre>") for chars in range(9, len(code), 9)]
    events, outcome = told(DomAnswer(), [*looks, changed(0, f"h<pre>{code}</pre>")])
    said = "".join(each.text for each in events if isinstance(each, TextDelta))
    assert said == f"```\n{code}```"
    assert outcome == Finish("stop")
    assert sum(read) < 50 * len(code)
    grammar = DomAnswer()
    grammar.feed(changed(0, f"h<pre>{code}</pre>"))
    assert grammar.feed(changed(0, f"h<pre>{code}x</pre>")) == [Heartbeat()]
    assert grammar.feed(changed(1, "h<p>y</p>")) == [TextDelta("\nx\n```\n\ny")]


def test_a_last_line_of_marks_is_looked_at_once() -> None:
    """Whatever its length; it was looked at from each of its spaces."""
    line = "#" + " " * 200_000
    events, _ = told(DomAnswer(), [changed(0, f"h<pre>\n{line}x</pre>")])
    assert events == [TextDelta(f"```\n{line}x\n```")]


def test_a_fence_that_was_told_stays_as_it_is() -> None:
    """Code about code: what is inside comes when the beginning has been passed on."""
    looks = ["h<pre>a", "h<pre>a\n```\nb\n```</pre>", "h<pre>a\n```\nb\n```\nc</pre>"]
    events, outcome = told(DomAnswer(), [changed(0, "h<p>x</p>", look) for look in looks])
    said = "".join(each.text for each in events if isinstance(each, TextDelta))
    assert (said, outcome) == ("x\n\n```\na\n```\nb\n```\nc\n```", Finish("stop"))
    events, _ = told(DomAnswer(), [changed(0, looks[-1])])
    assert events == [TextDelta("````\na\n```\nb\n```\nc\n````")]
