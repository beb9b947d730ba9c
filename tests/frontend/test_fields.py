"""fields: a body as a struct, or one fault of it in words."""

import msgspec
import pytest

from arenad.errors import InvalidRequest
from arenad.frontend import fields
from arenad.frontend.fields import Field


class _Inner(msgspec.Struct):
    number: int


class _Body(msgspec.Struct):
    name: str
    items: list[_Inner] = []


TABLE = {
    "name": Field("honoured"),
    "items": Field("honoured"),
    "colour": Field("ignored"),
    "shape": Field("refused", "there are no shapes; leave it out", plain="round"),
}
REMEDIES = {
    "name": "must be text",
    "items": "must be a list",
    "items[]": "must be an object",
    "number": "must be a number",
}


def _read(**given: object) -> tuple[_Body, tuple[str, ...]]:
    return fields.read(msgspec.json.encode(given), _Body, TABLE, REMEDIES)


def test_what_is_not_used_is_named() -> None:
    """Fields that are ignored, and such as nobody knows; of refused ones those that ask nothing."""
    body, ignored = _read(name="a", items=[{"number": 1}], shape="round", colour="red", zeal=1)
    assert (body.name, [each.number for each in body.items]) == ("a", [1])
    assert ignored == ("colour", "shape", "zeal")
    assert _read(name="a", shape=[])[1] == _read(name="a", shape=None)[1] == ("shape",)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "name: is missing; must be text"),
        ({"name": 1}, "name: is 1; must be text"),
        ({"name": "a", "items": [5]}, "items[0]: is 5; must be an object"),
        (
            {"name": "a", "items": [{"number": 1}, {"number": "b"}]},
            "items[1].number: is 'b'; must be a number",
        ),
        ({"name": "a", "items": [{}]}, "items[0].number: is missing; must be a number"),
        ({"shape": "square"}, "shape: is 'square'; there are no shapes; leave it out"),
    ],
)
def test_a_fault_has_field_value_and_remedy(given: dict[str, object], message: str) -> None:
    """By its path, however deep."""
    with pytest.raises(InvalidRequest) as told:
        _read(**given)
    assert (told.value.message, told.value.param) == (message, message.partition(":")[0])


@pytest.mark.parametrize(
    "given",
    [
        "[[],[],[],[]]",
        "[{},[],0,0]",
        '{"a":{},"b":{},"c":{},"d":0}',
        "[0,0,0,0,0,0]",
        '["[","[","[","[","["]',
        '["\\"","\\"","\\"","\\"","\\""]',
        '["\\\\","\\\\",0,0,0]',
        '["","","","","","","","","","","","","","","","","","","",""]',
        "[[],[],[],[],",
    ],
)
def test_a_body_of_too_many_values_is_refused_unread(
    given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lists, objects, and what is in them; also where the body is no JSON at its end."""
    monkeypatch.setattr(fields, "MAX_VALUES", 6)
    monkeypatch.setattr(fields, "_fields_of", None)
    with pytest.raises(InvalidRequest, match=r"has \d+ values; 6 are taken; send fewer"):
        fields.read(b'{"name":"a","x":%s}' % given.encode(), _Body, TABLE, REMEDIES)


@pytest.mark.parametrize("text", ["[{,]}" * 9, '"[{,\\' * 9, "\\\\[{,,,,,,", '\\","[,,,,,,'])
def test_what_stands_in_texts_is_no_value(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Source code and JSON as text, with every kind of escape."""
    monkeypatch.setattr(fields, "MAX_VALUES", 6)
    body, _ = _read(name=text, items=[{"number": 1}])
    assert body.name == text
