"""The acts of a viewer: what is taken from a page, what is refused."""

import msgspec
import pytest

from arenad.schema.view import Act, Go, Key, Mouse

DECODE = msgspec.json.Decoder(Act).decode


def test_acts_are_told_apart_by_their_type() -> None:
    """As the page's scripts write them."""
    move = b'{"type":"mouse","kind":"move","x":1.5,"y":2}'
    assert DECODE(move) == Mouse(kind="move", x=1.5, y=2)
    assert DECODE(b'{"type":"go","to":"back"}') == Go(to="back")
    assert DECODE(b'{"type":"key","kind":"up","key":"a"}') == Key(kind="up", key="a")


@pytest.mark.parametrize(
    "text",
    [
        b"{}",
        b"[]",
        b'{"type":"run","script":"1"}',
        b'{"type":"go","to":"http://elsewhere/"}',
        b'{"type":"mouse","kind":"move","x":1e9,"y":0}',
        b'{"type":"mouse","kind":"move","x":1,"y":0,"more":1}',
        b'{"type":"key","kind":"down","key":"a","text":"far too long"}',
        b'{"type":"text","text":"' + b"a" * 70_000 + b'"}',
        b'{"type":"drawn","number":-1}',
    ],
)
def test_what_is_no_act_is_refused(text: bytes) -> None:
    """Bounds of places, names and lengths; no unknown word, no address to go to."""
    with pytest.raises(msgspec.ValidationError):
        DECODE(text)
