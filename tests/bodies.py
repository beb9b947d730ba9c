"""Request bodies as our own OpenAPI document describes them, and the same with something wrong."""

import functools
import json
from collections.abc import Callable
from typing import Any

import documented
from hypothesis import strategies as st

Json = Any
Place = tuple[str | int, ...]

MAX_ITEMS = 3
NUMBERS = st.integers(-1, 9) | st.sampled_from([2**31, 2**63, 2**64, 10**40, 1.0, 0.5, -0.0, 1e300])
TEXTS = st.text(max_size=8) | st.sampled_from(
    [
        "",
        "data:image/png;base64,iVBORw0KGgo=",
        "data:,x",
        "data:image/png;base64,%",
        "http://127.0.0.1/a.png",
        "https://[::1",
        "a.pdf",
        "\x00",
        "\ufeff",
        "x" * 600,
    ]
)
ANYTHING: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(TEXTS | st.sampled_from(["type", "role", "content"]), inner, max_size=3)
    ),
    max_leaves=5,
)


def of(schema: dict[str, Any]) -> st.SearchStrategy[Json]:
    """Values of a schema, as far as types, names and choices go."""
    return _of(json.dumps(schema))


@functools.cache
def _of(told: str) -> st.SearchStrategy[Json]:
    schema: dict[str, Any] = documented.found(json.loads(told))
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "anyOf" in schema:
        return st.one_of([st.deferred(lambda way=way: of(way)) for way in schema["anyOf"]])
    return _KINDS.get(schema.get("type", ""), lambda _: ANYTHING)(schema)


def _object(schema: dict[str, Any]) -> st.SearchStrategy[Json]:
    """What must be in it, and up to four fields more."""
    required = set(schema.get("required", ()))
    fields = {name: of(each) for name, each in schema.get("properties", {}).items()}
    must = {name: each for name, each in fields.items() if name in required}
    more = sorted(fields.keys() - required)
    if not more:
        return (
            st.fixed_dictionaries(must) if must else ANYTHING.filter(lambda v: isinstance(v, dict))
        )
    some = st.lists(st.sampled_from(more), max_size=4, unique=True)
    return some.flatmap(
        lambda names: st.fixed_dictionaries(must | {name: fields[name] for name in names})
    )


def _array(schema: dict[str, Any]) -> st.SearchStrategy[Json]:
    least = schema.get("minItems", 0)
    most = min(schema.get("maxItems", MAX_ITEMS), max(least, MAX_ITEMS))
    return st.lists(of(schema.get("items", {})), min_size=least, max_size=most)


_KINDS: dict[str, Callable[[dict[str, Any]], st.SearchStrategy[Json]]] = {
    "object": _object,
    "array": _array,
    "string": lambda schema: TEXTS.filter(bool) if schema.get("minLength") else TEXTS,
    "integer": lambda schema: st.integers(schema.get("minimum", -9), 99),
    "boolean": lambda _: st.booleans(),
    "null": lambda _: st.none(),
}


@st.composite
def wrong(draw: st.DrawFn, body: Json) -> Json:
    """The body with one thing changed, left out, doubled or put where it does not belong."""
    place = draw(st.sampled_from(list(_places(body))))
    value = _at(body, place)
    names = st.sampled_from(["type", "role", "content", "text", "url"])
    other = draw(
        st.one_of(
            ANYTHING,
            st.just([value]),
            st.just([value, value]),
            st.builds(lambda name: {name: value}, names),
            st.sampled_from([_at(body, each) for each in _places(body)]),
        )
    )
    return _with(body, place, other, is_gone=draw(st.booleans()) and bool(place))


def _places(value: Json, here: Place = ()) -> list[Place]:
    found = [here]
    inner = value.items() if isinstance(value, dict) else []
    inner = enumerate(value) if isinstance(value, list) else inner
    for step, each in inner:
        found += _places(each, (*here, step))
    return found


def _at(value: Json, place: Place) -> Json:
    for step in place:
        value = value[step]
    return value


def _with(value: Json, place: Place, other: Json, *, is_gone: bool) -> Json:
    """A copy with another value there, or none."""
    if not place:
        return other
    step, *rest = place
    copy = value.copy()
    if not rest and is_gone:
        del copy[step]
    else:
        copy[step] = _with(value[step], tuple(rest), other, is_gone=is_gone)
    return copy
