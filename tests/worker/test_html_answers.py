"""Answers in HTML as a site's JSON brings them: Markdown that grows, wherever it is cut."""

import json
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from splits import told

from arenad.schema.chat import Finish, Heartbeat, TextDelta
from arenad.schema.profile import AnswerRules, StreamRules
from arenad.worker.sites.grammars import json_answers
from arenad.worker.sites.grammars.choose import grammar_of
from arenad.worker.sites.grammars.markdown import to_markdown

PIECES = AnswerRules(text="t", finish="end", is_html=True)
WHOLES = replace(PIECES, mode="replace")
LINES = StreamRules(url_pattern="/a", grammar="json-lines", answer=PIECES)


def read(parts: Sequence[str], answer: AnswerRules = PIECES) -> str:
    """The text of an answer that comes in these parts, and has an end."""
    lines = [json.dumps({"t": part}) for part in parts] + ['{"end":1}']
    grammar = grammar_of(replace(LINES, answer=answer))
    events, outcome = told(grammar, [f"{line}\n".encode() for line in lines])
    assert outcome == Finish("stop")
    return "".join(each.text for each in events if isinstance(each, TextDelta))


def test_html_that_is_cut_anywhere() -> None:
    """Half a tag, half a name of a character: neither is told, and then taken back."""
    html = '<p>a &amp; b <a href="https://x.example/">c</a> &#60;AT&T</p> R&D'
    for at in range(len(html)):
        said = read([html[:at], html[at:]])
        assert said == "a & b [c](https://x.example/) <AT&T\n\nR&D"


def test_long_html_is_read_a_bounded_number_of_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not anew for each of its pieces."""
    looked: list[int] = []

    def counted(html: str, _told: list[int]) -> str:
        looked.append(len(html))
        return html

    monkeypatch.setattr(json_answers, "to_markdown", counted)
    words = [f"word {number} " for number in range(2000)]
    assert read(words) == "".join(words)
    assert sum(looked) < 50 * len("".join(words))


def test_html_that_is_not_read_yet_is_a_sign_of_life() -> None:
    """Also on a socket, where other frames are none."""
    grammar = grammar_of(replace(LINES, grammar="json-frames", transport="websocket"))
    assert grammar.feed(json.dumps({"t": "<p>" + "x" * 5000})) == [TextDelta("x" * 5000)]
    assert grammar.feed(json.dumps({"t": "y"})) == [Heartbeat()]
    assert grammar.feed(json.dumps({"other": "y"})) == []
    assert grammar.feed(json.dumps({"t": "z" * 300})) == [TextDelta("y" + "z" * 300)]


BLOCKS = (
    '<p>see <a href="https://x.example/a_(b)">the docs</a>, <b>a <i>b c</i></b> &amp; AT&T</p>',
    "<p>a `b <code>c `d` e</code> f \\(x\\) 1 &lt; 2 https://x.example/ <q>g h</q></p>",
    "<p>use <b>x</b> <br>like this:</p>",
    '<pre><code class="language-py">x = 1 \n\n  y</code></pre>',
    "<pre>a\n```\nb\n```</pre>",
    "<blockquote><p>a</p><pre>b\nc</pre></blockquote>",
    "<ul><li><p>a</p><ul><li>b<pre>c</pre></li></ul><p>d</p></li><li>e</li></ul>",
    "<ol><li>use x <br>like this</li><li>y<pre>z</pre></li></ol>",
    "<table><tr><th>a</th><th>b c</th></tr><tr><td>1 | 2</td><td><b>3</b></td></tr></table>",
    '<div class="[&>p]:mt-2" title="x > y"><p>hello there</p></div><hr>',
    '<h2>a <img src="https://x.example/b.png" alt="c d"> e</h2>',
)


@given(st.lists(st.sampled_from(BLOCKS), min_size=1, max_size=4), st.data())
def test_html_stands_at_every_cut(blocks: list[str], drawn: st.DataObject) -> None:
    """What comes takes nothing back of what was told, but that a fence stays as it was told."""
    html = "".join(blocks)
    cuts = sorted(drawn.draw(st.sets(st.integers(0, len(html)), max_size=20)))
    ends = [*cuts, len(html)]
    pieces = [html[at:end] for at, end in pairwise([0, *ends])]
    for said in (read(pieces), read([html[:end] for end in ends], WHOLES)):
        assert said.replace("````", "```") == to_markdown(html).replace("````", "```")


def test_a_cursor_in_html_is_none_of_it() -> None:
    """It may stand inside of what is still open."""
    wholes = ["<p>▌</p>", "<p>a <b>▌</b></p>", "<p>a <b>b</b></p><pre>c▌</pre>"]
    said = read([*wholes, "<p>a <b>b</b></p><pre>c\nd</pre>"], replace(WHOLES, cursor="▌"))
    assert said == "a **b**\n\n```\nc\nd\n```"
