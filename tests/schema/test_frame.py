"""The envelope and the two bases: what is taken, what is refused, in which form."""

from typing import get_args

import msgspec
import pytest

from arenad.schema import SCHEMA_VERSION, base, chat, control, frame, history, keys, process, view
from arenad.schema.control import Watch
from arenad.schema.frame import Body, Frame, Kind

DECODER = msgspec.msgpack.Decoder(Frame)


def test_every_message_can_be_sent() -> None:
    """Each class of the schema that derives from `Message` is a body, or an entry of the history."""
    modules = (chat, control, history, keys, process, view)
    messages = {
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, base.Message) and value is not base.Message
    }
    assert messages == {*get_args(Body), *get_args(history.Entry)}


def test_names_on_the_wire_are_the_names_of_the_types() -> None:
    """A message is an array whose first item says what it is; a record inside is a map."""
    packed = msgspec.msgpack.encode(Frame(1, Kind.CALL, Watch()))
    assert msgspec.msgpack.decode(packed) == [1, 0, ["Watch"]]
    model = process.Ready((process.Model(id="m"),))
    assert msgspec.to_builtins(model) == [
        "Ready",
        ({"id": "m", "owner": "", "capabilities": ("text",), "modes": ("direct",)},),
    ]


@pytest.mark.parametrize(
    "body", [["Watch", 1], ["Scale"], ["Scale", "2"], ["Nothing"], [], {"type": "Watch"}, "Watch"]
)
def test_what_is_not_as_described_is_refused(body: object) -> None:
    """Too much, too little, another type, another name: none of it is guessed at."""
    with pytest.raises(msgspec.ValidationError):
        DECODER.decode(msgspec.msgpack.encode([1, 0, body]))


@pytest.mark.parametrize("kind", list(Kind))
def test_kinds_are_numbers(kind: Kind) -> None:
    """In the order that `schema.frame` tells."""
    assert [*Kind][kind] is kind
    assert DECODER.decode(msgspec.msgpack.encode(Frame(5, kind, None))) == Frame(5, kind, None)


def test_records_refuse_unknown_fields() -> None:
    """A field of a newer version is a fault, not silence."""
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.convert({"id": "m", "price": 1}, process.Model)


def test_the_version_is_a_number_to_compare() -> None:
    """Raised by one with every change of a message."""
    assert isinstance(SCHEMA_VERSION, int)
    assert frame.Frame.__struct_fields__ == ("call", "kind", "body")
