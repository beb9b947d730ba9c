"""The configuration's types: their defaults keep their own rules."""

import msgspec
import pytest

from arenad import wire
from arenad.schema.config import BodyBytes, Config

SECTIONS = [each for each in msgspec.structs.fields(Config) if isinstance(each.type, type)]
FIELDS = [
    pytest.param(section.type, field, id=f"{section.name}.{field.name}")
    for section in SECTIONS
    for field in msgspec.structs.fields(section.type)
]


@pytest.mark.parametrize(("section", "field"), FIELDS)
def test_every_field_has_a_default_that_it_would_take(
    section: type[msgspec.Struct], field: msgspec.structs.FieldInfo
) -> None:
    """A constraint that its own default breaks would only be found when somebody writes it down."""
    assert not field.required
    default = getattr(section(), field.name)
    assert msgspec.convert(msgspec.to_builtins(default), field.type) == default


@pytest.mark.parametrize(("section", "field"), FIELDS)
def test_names_carry_their_units(
    section: type[msgspec.Struct], field: msgspec.structs.FieldInfo
) -> None:
    """A number that is no count ends in its unit, and a unit is on nothing but numbers."""
    kind = msgspec.inspect.type_info(field.type)
    has_unit = field.name.endswith(("_s", "_bytes", "_percent"))
    assert isinstance(kind, msgspec.inspect.FloatType) <= has_unit
    assert has_unit <= isinstance(kind, msgspec.inspect.FloatType | msgspec.inspect.IntType)


@pytest.mark.parametrize(("section", "field"), FIELDS)
def test_every_number_has_bounds(
    section: type[msgspec.Struct], field: msgspec.structs.FieldInfo
) -> None:
    """Below and above: none can be so large that a timer, a frame or a machine does not take it."""
    kind = msgspec.inspect.type_info(field.type)
    if isinstance(kind, msgspec.inspect.FloatType | msgspec.inspect.IntType):
        assert kind.le is not None
        assert kind.ge is not None or kind.gt == 0


def test_the_largest_body_fits_into_a_frame() -> None:
    """With a quarter to spare for what is put around each turn."""
    kind = msgspec.inspect.type_info(BodyBytes)
    assert isinstance(kind, msgspec.inspect.IntType)
    assert kind.le is not None
    assert kind.le * 4 <= wire.MAX_FRAME_BYTES * 3
