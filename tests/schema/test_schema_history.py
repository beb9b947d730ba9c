"""What may be remembered at all."""

import msgspec
import pytest

from arenad.schema.frame import Frame, Kind
from arenad.schema.history import Entry, Remember, RequestEnded, StoryLine

TEXTS = {"request_id", "frontend", "model", "instance", "outcome", "error", "owner"}


def test_a_request_has_no_place_for_what_was_said() -> None:
    """Its texts are names and kinds; whoever adds one has to come by here."""
    fields = msgspec.structs.fields(RequestEnded)
    numbers = (float, int, bool, float | None)
    assert {each.name for each in fields if each.type not in numbers} == TEXTS


def test_entries_of_all_kinds_travel_in_one_batch() -> None:
    """As they are, in their order."""
    batch = Remember("master", 7, (StoryLine(1.0, "w1", "ready"),), 2)
    packed = msgspec.msgpack.encode(Frame(0, Kind.CALL, batch))
    assert msgspec.msgpack.decode(packed, type=Frame).body == batch


@pytest.mark.parametrize("kind", list(Entry.__args__))
def test_every_entry_has_its_time_first(kind: type[Entry]) -> None:
    """Ages and pages go by it."""
    assert kind.__struct_fields__[0] == "at_unix_s"
