"""The wire format of protocol buffers without a description."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from arenad.worker.sites.grammars.protobuf import Fields


def varint(number: int) -> bytes:
    """As the format writes it."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def field(number: int, value: float | str | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 1) + struct.pack("<d", value)
    raw = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(raw)) + raw


@given(
    st.lists(
        st.tuples(
            st.integers(1, 2**29 - 1),
            st.integers(0, 2**63) | st.floats(allow_nan=False) | st.text(),
        )
    )
)
def test_fields_make_a_round_trip(fields: list[tuple[int, int | float | str]]) -> None:
    """Every kind, repeated or not, in their order."""
    message = Fields(b"".join(field(number, value) for number, value in fields))
    for number in {number for number, _ in fields}:
        got = [each.text if isinstance(each, Fields) else each for each in message.at(number)]
        assert got == [value for each, value in fields if each == number]


def test_messages_stand_in_messages() -> None:
    """The same bytes are a text or a message, as the path asks."""
    inner = field(1, "é")
    (found,) = Fields(field(2, inner) + varint(5 << 3 | 5) + struct.pack("<f", 0.5)).at(2)
    assert isinstance(found, Fields)
    assert found.at(1)[0].text == "é"
    assert found.is_message
    assert Fields(b"").text == ""
    assert not Fields(b"").is_message


@given(st.binary())
def test_no_bytes_raise(raw: bytes) -> None:
    """What is no message has no fields."""
    message = Fields(raw)
    assert isinstance(message.at(1), list)
    assert message.text is None or isinstance(message.text, str)


def test_what_goes_on_behind_the_end_is_no_message() -> None:
    """Cut, without end, of a kind that is no more, or field 0."""
    for raw in (b"\x0a\x05ab", b"\xff" * 11, b"\x08", b"\x0b", b"\x02\x00", b"\x09\x00"):
        assert not Fields(raw).is_message
