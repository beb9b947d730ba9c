"""The tables fit the messages that go into them."""

import sqlite3

import msgspec
import pytest

from arenad.recorder.tables import ABOUT, MIGRATIONS, TABLES, kind_of
from arenad.schema.history import Entry, InstanceSample, RequestEnded, TrafficSample


@pytest.fixture
def connection() -> sqlite3.Connection:
    made = sqlite3.connect(":memory:")
    for step in MIGRATIONS:
        for statement in step:
            made.execute(statement)
    return made


@pytest.mark.parametrize("kind", list(TABLES))
def test_a_column_for_each_field(kind: type[Entry], connection: sqlite3.Connection) -> None:
    """In the order of the fields, for that is how rows are written."""
    columns = connection.execute(f"PRAGMA table_info({TABLES[kind]})").fetchall()
    fields = msgspec.structs.fields(kind)
    assert [name for _, name, *_ in columns] == ["id", *(field.name for field in fields)]
    assert kind not in ABOUT or ABOUT[kind] in {field.name for field in fields}
    connection.close()


def test_every_entry_has_its_table() -> None:
    """What can be sent can be kept."""
    assert set(TABLES) == set(Entry.__args__)


def test_samples_without_a_name_are_of_the_traffic() -> None:
    """The one question that has two answers."""
    assert kind_of("samples", "") is TrafficSample
    assert kind_of("samples", "w1") is InstanceSample
    assert kind_of("requests", "") is RequestEnded
