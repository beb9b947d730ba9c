"""Which schemas are taken, what of them is bounded, and what of a value they find wrong."""

from collections.abc import Callable
from typing import Any

import pytest

from arenad.errors import InvalidRequest
from arenad.frontend import schemas

Schema = dict[str, Any]

SCHEMA: Schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
TREE: Schema = {"properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}}}
TOO_LARGE = "the value is too large or too deep to be held against its schema"
DOUBLED: Schema = {"allOf": [TREE, TREE]}


def chain(link: Callable[[Schema], Schema], length: int) -> Schema:
    """Schemas of which each is made of the next; the last one is of text."""
    names = range(length)
    links = {str(at): link({"$ref": f"#/$defs/{at + 1}"}) for at in names}
    return {"$ref": "#/$defs/0", "$defs": links | {str(length): {"type": "string"}}}


def nested(depth: int) -> dict[str, Any]:
    """An object in an object, and so on."""
    value = dict[str, Any]()
    for _ in range(depth):
        value = {"left": value}
    return value


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"type": "thing"}, "thing"),
        ({"$ref": "http://127.0.0.1:1/secret"}, "nothing is fetched"),
        ({"$ref": "file:///etc/passwd"}, "nothing is fetched"),
        ({"$ref": "#/nowhere"}, "nowhere"),
        ({"pattern": "("}, "regex"),
        ({"$schema": "http://a/b"}, "meta-schema"),
        (5, "5"),
    ],
)
def test_what_is_no_schema_is_refused(schema: Any, why: str) -> None:
    """With the reason, and nothing is fetched for it."""
    with pytest.raises(InvalidRequest, match=r"tools\[0\]: is no schema .*; must be") as told:
        schemas.check({"tools[0]": schema})
    assert why in told.value.message
    assert told.value.param == "tools[0]"


def test_a_fault_is_told_with_its_place() -> None:
    """The first one, without what was said; none if there is none."""
    assert schemas.Judge(SCHEMA).fault_of({"a": 1}) == ""
    told = schemas.Judge(SCHEMA).fault_of({"a": "secret"})
    assert told == "the value is not of type \"integer\" at ['a']"
    assert "object" in schemas.Judge(SCHEMA).fault_of([])


@pytest.mark.parametrize(
    ("schema", "is_valid"),
    [
        ({"properties": {"a": {"pattern": "(?=a)(a+)+$"}}}, False),
    ],
)
def test_no_schema_hangs(schema: Any, *, is_valid: bool) -> None:
    """By a pattern that never ends."""
    assert (schemas.Judge(schema).fault_of({"a": "a" * 40 + "!"}) == "") == is_valid


@pytest.mark.parametrize(
    ("limit", "schema", "told"),
    [
        ("MAX_BYTES", {"title": "x" * 9}, "42 bytes of schemas; 41 are taken in all"),
        ("MAX_PATTERNS", {"items": {"pattern": "a"}}, "2 patterns; 1 are taken in all"),
        ("MAX_PATTERNS", {"patternProperties": {"a": {}}}, "2 patterns; 1 are taken in all"),
        ("MAX_PATTERNS_CHARS", {"not": {"pattern": "abc"}}, "6 characters of patterns; 5 are"),
    ],
)
def test_all_schemas_of_a_request_share_their_bounds(
    limit: str, schema: Schema, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one that is too much is named, and none is made ready before all are counted."""
    monkeypatch.setattr(schemas, limit, int(told.partition("; ")[2].partition(" ")[0]))
    schemas.check({"tools[0]": schema})
    monkeypatch.setattr(schemas, "_judges", None)
    with pytest.raises(InvalidRequest, match=f"makes {told}.*; make the schemas simpler") as error:
        schemas.check({"tools[0]": schema, "response_format": schema})
    assert error.value.param == "response_format"


@pytest.mark.parametrize(
    "link",
    [
        lambda each: {"allOf": [each, each]},
        lambda each: {"anyOf": [each, each]},
        lambda each: {"oneOf": [each, each]},
        lambda each: {"if": each, "then": each},
        lambda each: {"not": each, "else": each},
        lambda each: {**each, "allOf": [each]},
        lambda each: {"dependentSchemas": {"a": each, "b": each}},
        lambda each: {"allOf": [each], "unevaluatedProperties": False},
        lambda each: {"properties": {"a": {"anyOf": [each, each]}}, "anyOf": [each, each]},
    ],
)
def test_a_few_references_do_not_make_millions(
    link: Callable[[Schema], Schema], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ways through a schema are counted, not gone: 32 links of two ways are four billion."""
    monkeypatch.setattr(schemas, "MAX_COUNTED", 200)
    schemas.check({"tools[0]": chain(link, 5)})
    with pytest.raises(InvalidRequest, match=r"looks at a value .* times; 10000 are taken") as told:
        schemas.check({"tools[0]": chain(link, 32)})
    assert told.value.param == "tools[0]"


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"$ref": "#"}, "without end"),
        ({"properties": {"a": {"not": {"$ref": "#/properties/a"}}}}, "without end"),
        ({"$dynamicAnchor": "a", "items": {"$dynamicRef": "#a"}}, r"\$dynamicRef is not taken"),
        ({"items": {"$id": "http://a/", "$ref": "#"}}, "an id of its own"),
        ({"$defs": {"a": {"$anchor": "a"}}, "$ref": "#a"}, "is '#a'"),
        (chain(lambda each: each, 2000), "recursion"),
    ],
)
def test_a_schema_has_to_be_followed(schema: Schema, why: str) -> None:
    """By paths from its root, to an end."""
    with pytest.raises(InvalidRequest, match=f"cannot be followed .*{why}.*each reference a path"):
        schemas.check({"tools[0]": schema})


@pytest.mark.parametrize(
    ("schema", "wrong"),
    [
        ({"$defs": {"a/b c": {"type": "string"}}, "items": {"$ref": "#/$defs/a~1b%20c"}}, [1]),
        ({"$id": "http://a/", "allOf": [{}, {"type": "string"}], "not": {"$ref": "#/allOf/1"}}, ""),
        ({"prefixItems": [{}, False], "items": {"$ref": "#/prefixItems/1"}}, [1, 1, 1]),
        (
            {"patternProperties": {"^a": {"type": "string"}}, "additionalProperties": False},
            {"b": 1},
        ),
    ],
)
def test_schemas_of_clients_are_followed(schema: Schema, wrong: object) -> None:
    """With names in any spelling, ids at the root, lists of schemas and several at one place."""
    schemas.check({"tools[0]": schema})
    assert schemas.Judge(schema).fault_of(wrong) not in {"", TOO_LARGE}


def test_only_ways_to_one_value_make_a_schema_too_deep() -> None:
    """A tree looks once at each of its branches, and twice as often a level down what is doubled."""
    for schema in (TREE, DOUBLED):
        schemas.check({"tools[0]": schema})
        assert schemas.Judge(schema).fault_of(nested(8)) == ""
    assert schemas.Judge(TREE).fault_of(nested(60)) == ""
    assert schemas.Judge(DOUBLED).fault_of(nested(60)) == TOO_LARGE


def test_a_value_may_be_too_large_for_its_schema() -> None:
    """A long enum is compared with each of many values."""
    schema = {"items": {"enum": list(range(40_000))}}
    schemas.check({"tools[0]": schema})
    assert schemas.Judge(schema).fault_of([1] * 10) == ""
    assert schemas.Judge(schema).fault_of([1] * 10_000) == TOO_LARGE


def test_many_values_are_looked_at_no_more_often_than_one() -> None:
    """An answer may have thousands of calls of one tool; its schema is made ready once."""
    judge = schemas.Judge({"items": {"enum": list(range(40_000))}})
    faults = [judge.fault_of([1] * 100) for _ in range(20)]
    assert faults == sorted(faults)  # well at first, then no more
    assert {*faults} == {"", TOO_LARGE}


def test_what_is_wrong_is_told_where_that_is_cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else only that it is wrong: every way of being wrong would be told."""
    assert "integer" in schemas.Judge(SCHEMA).fault_of({"a": "x"})
    monkeypatch.setattr(schemas, "MAX_LOOKS_TOLD", 1)
    assert schemas.Judge(SCHEMA).fault_of({"a": "x"}) == "the value is not valid by its schema"
    assert schemas.Judge(SCHEMA).fault_of({"a": 1}) == ""
