"""A body that is the answer's text itself."""

from hypothesis import given
from hypothesis import strategies as st
from splits import at_every_split, told

from arenad.errors import UpstreamFailed
from arenad.schema.chat import Finish, TextDelta
from arenad.worker.sites.grammars.plain import PlainText


def test_the_body_is_the_text() -> None:
    """At any cut; bytes that are no UTF-8 are replaced."""
    said = "é 競\r\n\n👩‍💻 שלום "
    assert at_every_split(PlainText, said) == ([TextDelta(said)], Finish("stop"))
    assert at_every_split(PlainText, b"a\xffb\xc3") == (
        [TextDelta("a\ufffdb\ufffd")],
        Finish("stop"),
    )
    assert told(PlainText(), []) == ([], (UpstreamFailed, "the site answered with nothing"))


@given(st.lists(st.binary() | st.text()))
def test_nothing_raises(pieces: list[bytes | str]) -> None:
    """Whatever comes."""
    told(PlainText({"x": "resting"}), pieces)
