"""YAML to checked structs, where `test_config` and `test_profiles` do not tell it already."""

from pathlib import Path
from typing import Literal

import pytest

from arenad import document
from arenad.errors import ConfigError
from arenad.schema.base import Record


class Part(Record):
    """A section of the tests' own."""

    size: int
    name: str = ""

    def __post_init__(self) -> None:
        if self.size > 9:
            raise ValueError(f"size: is {self.size}; must be below 10")


class Whole(Record):
    """Sections in each place where a section may stand."""

    one: Part | None = None
    many: tuple[Part, ...] = ()
    named: dict[str, Part] = {}  # noqa: RUF012 - msgspec copies it
    words: dict[str, Literal["a", "b"]] = {}  # noqa: RUF012 - msgspec copies it


def taken(text: str) -> tuple[Record | None, list[str]]:
    """What a text becomes, and its faults."""
    faults: list[str] = []
    return document.section(Whole, document.tree_of(text.encode()), "", faults), faults


def test_sections_in_lists_and_maps() -> None:
    """Each is checked like any other."""
    whole, faults = taken("one: {size: 1}\nmany: [{size: 2}]\nnamed: {a: {size: 3}}")
    assert faults == []
    assert whole == Whole(one=Part(size=1), many=(Part(size=2),), named={"a": Part(size=3)})
    assert taken("one:")[0] == Whole()


def test_faults_in_them_are_said_with_their_place() -> None:
    """Types, fields, and what the fields of a section say against each other."""
    _, faults = taken(
        "one: {size: x}\nmany: [{size: 10}, {ssize: 1}]\nnamed: {a: [], b: {size: 11}}"
    )
    assert faults == [
        "one.size: is 'x'; must be a whole number",
        "many[0].size: is 10; must be below 10",
        "many[1].ssize: no such field; did you mean size?",
        "many[1].size: is missing; must be a whole number",
        "named.a: is a list; must be a section, with lines of `name: value`",
        "named.b.size: is 11; must be below 10",
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("many: {}", "many: is a section; must be a list of sections"),
        ("named: []", "named: is a list; must be sections, each with its name"),
        ("words: {x: a, y: c}", "words.y: is 'c'; must be one of a, b"),
        ("one: 7", "one: is 7; must be a section, with lines of `name: value`"),
    ],
)
def test_another_shape_is_said_as_such(text: str, fault: str) -> None:
    """A list is no map, and neither is a number."""
    assert taken(text)[1] == [fault]


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """The reason is the system's own."""
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        document.read(tmp_path / "none")
