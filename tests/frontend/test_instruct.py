"""What the model is told, where it stands, and which schemas are taken."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from arenad import notation
from arenad.conversation import is_new_turn
from arenad.errors import InvalidRequest
from arenad.frontend import instruct
from arenad.frontend.instruct import Emulation, Format, Tool
from arenad.frontend.parts import Remote
from arenad.schema.chat import Attachment, Turn

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
WANTED = Emulation("tools", (Tool("add", "Adds.", SCHEMA), Tool("now")))
ASK = Turn(role="user", text="hello")


def test_every_tool_is_told_on_a_line() -> None:
    """As JSON; one without parameters takes none."""
    told = instruct.instruction(WANTED)
    tools = [json.loads(line) for line in told.partition("to a line:\n")[2].splitlines()]
    assert tools == [
        {"name": "add", "description": "Adds.", "parameters": SCHEMA},
        {"name": "now", "parameters": {"type": "object", "properties": {}}},
    ]
    assert f"```{notation.CALL}\n" in told
    assert "one block for each" in told
    assert "else answer in words" in told


def test_what_has_to_be_called_is_told() -> None:
    """Any, or one; and whether several calls may come."""
    assert "a call of one of these" in instruct.instruction(replace(WANTED, choice="required"))
    assert 'of the tool "add"' in instruct.instruction(replace(WANTED, chosen="add"))
    assert "one call at a time" in instruct.instruction(replace(WANTED, is_parallel=False))


def test_instructions_are_joined_to_those_there_are() -> None:
    """Behind the first message if it is one; else they are the first."""
    own = Turn(role="system", text="be brief")
    turns, _ = instruct.arranged([own, ASK], [], (), WANTED)
    assert turns == (replace(own, text=f"be brief\n\n{instruct.instruction(WANTED)}"), ASK)
    turns, _ = instruct.arranged([ASK], [], (), WANTED)
    assert turns == (Turn(role="system", text=instruct.instruction(WANTED)), ASK)
    assert instruct.arranged([own, ASK], [], (), None)[0] == (own, ASK)


def test_results_are_one_turn_and_files_stay_where_they_were() -> None:
    """So an answer of several calls can be gone on with; what is to be fetched moves along."""
    file = Attachment(name="a", content_type="image/png", content=b"a")
    answer = Turn(role="assistant", text="calls")
    results = [Turn(role="user", text="1", attachments=(file,)), Turn(role="user", text="2")]
    remote = [Remote("http://a/", "", "p", 0, 0), Remote("http://b/", "", "p", 3, 0)]
    turns, moved = instruct.arranged([ASK, answer, *results], remote, {3}, WANTED)
    assert turns[1:] == (ASK, answer, Turn(role="user", text="1\n\n2", attachments=(file,)))
    assert is_new_turn(turns)
    assert [(each.turn, each.place) for each in moved] == [(1, 0), (3, 1)]


def test_many_results_are_joined_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, each would copy all before it: a long history took minutes."""
    made: list[Turn] = []

    def counted(turn: Turn, **changes: Any) -> Turn:
        made.append(replace(turn, **changes))
        return made[-1]

    monkeypatch.setattr(instruct, "replace", counted)
    results = [Turn(role="user", text="x" * 1000)] * 9000
    turns, _ = instruct.arranged([ASK, *results], [], set(range(2, 9001)), WANTED)
    assert [len(turn.text) for turn in turns[1:]] == [5, 9000 * 1000 + 8999 * 2]
    assert len(made) == len(turns)


def test_files_of_joined_turns_keep_their_order() -> None:
    """Whether they came with the request or are to be fetched."""
    file = Attachment(name="a", content_type="image/png", content=b"a")
    both = Turn(role="user", text="1", attachments=(file,))
    remote = [Remote("http://a/", "", "p", number, 1) for number in (1, 2)]
    _, moved = instruct.arranged([ASK, both, both], remote, {2}, None)
    assert [(each.turn, each.place) for each in moved] == [(1, 1), (1, 3)]


def test_every_schema_has_the_name_of_its_field() -> None:
    """Those of tools their number; a tool without one has nothing to be looked at."""
    bad, form = {"type": "thing"}, Format({"type": "object"})
    instruct.check(replace(WANTED, format=form, format_param="text.format"))
    for wanted, param in (
        (Emulation("tools", (Tool("now"), Tool("add", "", bad)), format=form), "tools[1]"),
        (replace(WANTED, format=Format(bad), format_param="text.format"), "text.format"),
    ):
        with pytest.raises(InvalidRequest, match="is no schema") as told:
            instruct.check(wanted)
        assert told.value.param == param


def test_a_form_is_told_with_its_schema() -> None:
    """Any object, one by a schema, a list; beside tools it is for who calls none."""
    told = instruct.instruction(Emulation("f", format=Format()))
    assert told.startswith("Answer with one JSON object and nothing else")
    told = instruct.instruction(Emulation("f", format=Format(SCHEMA, "person")))
    assert told.endswith("(person):\n" + json.dumps(SCHEMA, separators=(",", ":")))
    told = instruct.instruction(Emulation("f", format=Format({"type": "array"})))
    assert "one JSON array" in told
    told = instruct.instruction(replace(WANTED, format=Format()))
    assert "Where you call no tool: Answer with" in told


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        (None, "object"),
        ({}, "object"),
        ({"type": "array"}, "array"),
        ({"type": ["array", "null"]}, "array"),
        ({"anyOf": [{"type": "array"}, {"type": "object"}]}, "object or array"),
        ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "array"}}}, "array"),
        ({"$ref": "#/$defs/none", "$defs": {}}, "object"),
        ({"$ref": "#"}, "object"),
        ({"anyOf": 5, "oneOf": None, "$ref": {}, "type": 1}, "object"),
        ({"anyOf": [5, {"type": "array"}]}, "array"),
        ({"anyOf": [{"$ref": "#"}] * 9}, "object"),
    ],
)
def test_the_root_of_a_form_is_known(schema: dict[str, Any] | None, kind: str) -> None:
    """By its type, its alternatives, what it refers to; and the model is told."""
    assert instruct.kind_of(Format(schema)) == kind
    assert f"one JSON {kind} and" in instruct.instruction(Emulation("f", format=Format(schema)))
