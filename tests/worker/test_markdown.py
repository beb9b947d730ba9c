"""Rendered HTML back into Markdown, in the form in which models write it."""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from arenad.worker.sites.grammars import markdown
from arenad.worker.sites.grammars.markdown import standing, to_markdown

TABLE = """<table><thead><tr><th align="right">A</th><th>B</th></tr></thead>
<tbody><tr><td>1</td><td>x|y</td></tr></tbody></table>"""


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<h2>T <em>x</em></h2>", "## T *x*"),
        (
            "<p>a <strong>b</strong> <em>c</em> <del>d</del> <code>e</code></p>",
            "a **b** *c* ~~d~~ `e`",
        ),
        ("<p><code>a`b</code></p>", "`` a`b ``"),
        ("<p>one<br>two\nthree 2*3 snake_case</p>", "one\ntwo\nthree 2*3 snake_case"),
        ("<p>one<br>\n two</p><ul><li>a<br />\nb</li></ul>", "one\ntwo\n\n- a\n  b"),
        ("<p>a</p><p>b</p>", "a\n\nb"),
        ("<p>שלום &lt;b&gt; &amp;amp; 👩‍💻\xa0x</p>", "שלום <b> &amp; 👩‍💻\xa0x"),
        ("<ul><li>one</li><li>two<ul><li>deep</li></ul></li></ul>", "- one\n- two\n  - deep"),
        (
            "<ul><li><p>one</p></li><li><p>two</p><ul><li>deep</li></ul></li></ul>",
            "- one\n- two\n  - deep",
        ),
        ('<ol start="3"><li>a</li><li>b</li></ol>', "3. a\n4. b"),
        ("<ol><li><p>a</p><p>b</p></li></ol>", "1. a\n\n   b"),
        ("<blockquote><p>q</p><p>r</p></blockquote>", "> q\n>\n> r"),
        ("<hr>", "---"),
        ('<pre><code class="hljs language-c++">a\n  b\n\n</code></pre>', "```c++\na\n  b\n\n```"),
        ('<pre class="language-py">\nx</pre>', "```py\nx\n```"),
        ("<pre>a ``` b</pre>", "````\na ``` b\n````"),
        ("<pre><code></code></pre>", "```\n\n```"),
        (
            TABLE,
            "| A | B |\n| ---: | --- |\n| 1 | x\\|y |",
        ),
        (
            '<p><a href="http://a/b">text</a> <a href="http://c/">http://c</a></p>',
            "[text](http://a/b) http://c",
        ),
        ('<p><img src="http://a/b.png" alt="c"></p>', "![c](http://a/b.png)"),
        ("<p>[x] done</p>", "[x] done"),
        ("", ""),
        ("plain", "plain"),
        ("<p>open <b>at the end", "open **at the end**"),
    ],
)
def test_each_form(html: str, text: str) -> None:
    """Headings, emphasis, code, lists, quotes, tables, links; line ends and entities."""
    assert to_markdown(html) == text


@example("<![;")
@example("http:")
@example("a/b.html")
@given(st.text(st.sampled_from("<>/ab&;!-[]'\"= \n")) | st.text())
def test_nothing_raises(html: str) -> None:
    """Broken markup, half a comment, anything."""
    assert isinstance(to_markdown(html), str)


def test_text_without_a_tag_is_itself() -> None:
    """An address, too, and what looks like the name of a file."""
    for text in ("http://a.example/b?c=1", "a/b.html", "x &amp; y", ""):
        assert to_markdown(text) == text.replace("&amp;", "&")


def test_what_nests_too_deep_or_is_too_long_is_bare_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text without its form, but the text."""
    assert to_markdown("<div>" * 5000 + "x" + "</div>" * 5000) == "x"
    monkeypatch.setattr(markdown, "MAX_HTML_CHARS", 10)
    assert to_markdown("<p><b>x</b> long</p>") == "x long"
    assert to_markdown("<" * 500_000) == "<" * 500_000


@pytest.mark.parametrize("begun", ["<", "<a", "<a <a ", "</p", "<!--", '<a href="x', "&", "&xy"])
def test_what_is_cut_is_not_there_yet(begun: str) -> None:
    """Its other half comes with the next piece; where none comes it is text."""
    html = "<p>1 &lt; 2</p>x"
    assert standing(html + begun) == html
    assert to_markdown(html + begun) == f"1 < 2\n\nx{begun}".rstrip()
    assert standing("a < b") == "a < b"


def test_a_row_stands_when_it_is_closed() -> None:
    """Half a head would make a table of fewer columns."""
    table = "<p>x</p><table><tr><th>a</th></tr><tr><td>1</td></tr></table>y"
    begins = sorted({standing(table[:chars]) for chars in range(len(table) + 1)}, key=len)
    assert next(each for each in begins if "<table" in each).endswith("<td>1</td></tr>")
    assert standing(table.replace("<tr><td>1</td></tr>", "").removesuffix("y")) == "<p>x</p>"
    texts = [to_markdown(each) for each in begins]
    assert all(text.startswith(before) for before, text in pairwise(texts))


@pytest.mark.parametrize(
    ("html", "most_chars"),
    [
        ("<a " * 100_000, 300_000),
        ("<a b='" * 50_000, 300_000),
        ("<p>" + " " * 500_000 + "x", 1),
        ("<p>" + "a<br> " * 20_000, 40_000),
        ("<p>```x\n</p>" * 10_000, 60_000),
    ],
)
def test_what_is_broken_is_read_once(html: str, most_chars: int) -> None:
    """And not from each place on where it may begin."""
    assert len(to_markdown(html)) <= most_chars


def test_space_that_no_page_shows() -> None:
    """It is none of a comment's business, nor of code's; a hard space is shown."""
    space = " " * 150
    assert to_markdown(f"<p>a{space}b</p><!-- x{space}y --><p>c</p>") == "a b\n\nc"
    assert to_markdown(f"<pre>a{space}\n<br> b</pre>") == f"```\na{space}\n\n b\n```"
    assert to_markdown(f"<p>a{chr(160) * 150}b") == f"a{chr(160) * 150}b"
    assert to_markdown("<p>a<br>\n  b</p>") == "a\nb"


def test_what_code_does_to_the_lines_before_it() -> None:
    """Nothing: an answer that grows keeps what was told of it."""
    before = "<p>use <b>x</b> <br>like this:</p>"
    assert to_markdown(f"{before}<pre>x </pre>") == f"{to_markdown(before)}\n\n```\nx \n```"
