"""A client's JSON schemas: bounded, checked, and held against values. A brain: no I/O.

The library holds the loop while it works. A few references in each other can have it look at one
value billions of times, so how often it might is counted before.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from importlib import import_module
from typing import Any, TypeGuard

import msgspec

from arenad.errors import InvalidRequest

Schema = dict[str, Any]

MAX_FAULT_CHARS = 300

MAX_STEPS = 10_000
MAX_PATTERN_BYTES = 1024 * 1024
"""A client's patterns are held to these, so that none keeps the loop busy."""

MAX_BYTES = 512 * 1024
MAX_PATTERNS = 200
MAX_PATTERNS_CHARS = 16 * 1024
"""Of all schemas of a request. To make a pattern ready takes up to 1 ms and 0.3 MiB."""

MAX_LOOKS = 10_000
"""How often a schema may look at one value."""

LOOK_BYTES = 100
"""So much of a schema counts as one look more: enums are compared, and faults tell of them."""

MAX_LOOKS_IN_ALL = 2_000_000
MAX_LOOKS_TOLD = 50_000
"""At all values of an answer, and at one and all within it: 0.1 µs each, and up to 30 µs where what
is wrong is to be told."""

MAX_COUNTED = 100_000
"""Steps of counting, of 3 µs."""

_encode = msgspec.json.Encoder().encode

_ENDLESS = -1
_ONE = frozenset({"not", "if", "then", "else"})
_SEVERAL = frozenset({"allOf", "anyOf", "oneOf", "dependentSchemas", "dependencies"})
_EITHER = frozenset({"properties", "prefixItems", "items"})
_EACH = frozenset(
    {"patternProperties", "additionalProperties", "propertyNames", "additionalItems", "contains"}
    | {"unevaluatedProperties", "unevaluatedItems"}
)
_ELSEWHERE = frozenset({"$dynamicRef", "$recursiveRef"})
_CODED = re.compile(r"(?:%[0-9A-Fa-f]{2})+")


# -- checked --------------------------------------------------------------------------------------


def check(given: Mapping[str, Schema]) -> None:
    """Raises `InvalidRequest` unless all can be held against a value; each has its field's name.

    What is bounded is bounded for all together.
    """
    size = count = chars = 0
    for param, schema in given.items():
        patterns = list(_patterns(schema))
        size += len(_encode(schema))
        count += len(patterns)
        chars += sum(map(len, patterns))
        _check_total(param, f"{size} bytes of schemas", size, MAX_BYTES)
        _check_total(param, f"{count} patterns", count, MAX_PATTERNS)
        _check_total(param, f"{chars} characters of patterns", chars, MAX_PATTERNS_CHARS)
    for param, schema in given.items():
        _validator(param, schema)
        try:
            _Looks(schema).check()
        except (LookupError, TypeError, ValueError, RecursionError) as error:
            told = f"is a schema that cannot be followed ({str(error)[:MAX_FAULT_CHARS]})"
            remedy = "make it simpler, with each reference a path from its root (#/…)"
            raise InvalidRequest(f"{param}: {told}; {remedy}", param=param) from None


def _check_total(param: str, told: str, count: int, most: int) -> None:
    if count > most:
        told = f"makes {told}; {most} are taken in all; make the schemas simpler"
        raise InvalidRequest(f"{param}: {told}", param=param)


def _patterns(schema: Schema) -> Iterator[str]:
    for each in _objects(schema):
        if isinstance(pattern := each.get("pattern"), str):
            yield pattern
        if _is_object(named := each.get("patternProperties")):
            yield from named


def _objects(value: Any) -> Iterator[Schema]:
    """All there are in it, whatever they mean."""
    left = [value]
    while left:
        each = left.pop()
        if _is_object(each):
            yield each
        left += _within(each)


def _within(value: Any) -> list[Any]:
    if _is_object(value):
        return list(value.values())
    return value if _is_list(value) else []


def _is_object(value: Any) -> TypeGuard[Schema]:
    return isinstance(value, dict)


def _is_list(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


# -- counted --------------------------------------------------------------------------------------


class _Looks:
    """How often a schema may look at one value, each counted once however many ways lead to it."""

    def __init__(self, root: Schema) -> None:
        self._root = root
        self._known: dict[tuple[int, int], int] = {}

    def check(self) -> None:
        """Raises an error for what goes on without end, too often, or where nobody can follow.

        Only at the value itself: how deep values are nobody knows yet.
        """
        ids = ("$id", "id") if "draft-04" in str(self._root.get("$schema")) else ("$id",)
        for each in _objects(self._root):
            if each is not self._root and any(isinstance(each.get(name), str) for name in ids):
                raise ValueError("a schema within it has an id of its own")
        seen = set[int]()
        left: list[Any] = [self._root]
        while left:
            each = left.pop()
            if _is_object(each) and id(each) not in seen:
                seen.add(id(each))
                if (looks := self._at(each, 0)) > MAX_LOOKS:
                    raise ValueError(
                        f"it looks at a value {looks:.3g} times; {MAX_LOOKS} are taken"
                    )
                left += [*self._beside(each), *_either(each), *_each(each)]

    def in_all(self, value: Any) -> int:
        """At most so many at a value and all within it; raises an error for far too many."""
        most = count = depth = 0
        level = [value]
        while level:
            count += len(level)
            most = max(most, self._at(self._root, depth))
            level = [inner for each in level for inner in _within(each)]
            depth += 1
        return most * count

    def _at(self, schema: Any, depth: int) -> int:
        """At any one value so far below that at which the schema begins."""
        if not _is_object(schema):
            return 1
        key = (id(schema), depth)
        if (known := self._known.get(key)) is not None:
            if known == _ENDLESS:
                raise ValueError("it refers to itself without end")
            return known
        if len(self._known) >= MAX_COUNTED:
            raise ValueError("it is too large")
        self._known[key] = _ENDLESS
        looks = sum(self._at(each, depth) for each in self._beside(schema))
        if schema.keys() & {"unevaluatedProperties", "unevaluatedItems"}:
            looks *= 2  # it asks again what has been looked at
        if depth:
            looks += max((self._at(each, depth - 1) for each in _either(schema)), default=0)
            looks += sum(self._at(each, depth - 1) for each in _each(schema))
        self._known[key] = looks = (
            looks if depth else looks + 1 + len(_encode(schema)) // LOOK_BYTES
        )
        return looks

    def _beside(self, schema: Schema) -> Iterator[Any]:
        """Those that look at the same value."""
        for name, value in schema.items():
            if name == "$ref":
                yield self._target(str(value))
            elif name in _ELSEWHERE:
                raise ValueError(f"{name} is not taken")
            elif name in _ONE:
                yield value
            elif name in _SEVERAL:
                yield from _within(value)

    def _target(self, reference: str) -> Any:
        if reference != "#" and not reference.startswith("#/"):
            raise ValueError(f"$ref is {reference[:80]!r}")
        value: Any = self._root
        path = _CODED.sub(lambda at: bytes.fromhex(at[0].replace("%", "")).decode(), reference)
        for step in path.split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            value = value[int(name)] if _is_list(value) else value[name]
        return value


def _either(schema: Schema) -> Iterator[Any]:
    """Those of which one looks at a value within: each has a place of its own."""
    for name in _EITHER & schema.keys():
        value = schema[name]
        is_one = name == "items" and _is_object(value)
        yield from [value] if is_one else _within(value)


def _each(schema: Schema) -> Iterator[Any]:
    """Those that may all look at the same value within."""
    for name in _EACH & schema.keys():
        value = schema[name]
        yield from _within(value) if name == "patternProperties" else [value]


# -- held against values --------------------------------------------------------------------------


class Judge:
    """Holds values against one schema: it is made ready once, and looks so often at all of them."""

    def __init__(self, schema: Schema) -> None:
        """Nothing is made ready before there is a value."""
        self._schema = schema
        self._looks = _Looks(schema)
        self._left = MAX_LOOKS_IN_ALL
        self._validator: Any = None

    def fault_of(self, value: object) -> str:
        """What in a value is not as the schema says; nothing if all is.

        The value itself, which is what was said, is not shown: faults are logged.
        """
        try:
            looks = self._looks.in_all(value)
        except (ValueError, RecursionError):
            looks = MAX_LOOKS_IN_ALL + 1
        self._left -= looks
        if self._left < 0:
            return "the value is too large or too deep to be held against its schema"
        if self._validator is None:
            self._validator = _validator("schema", self._schema, "the value")
        return _fault(self._validator, value, is_told=looks <= MAX_LOOKS_TOLD)


def _fault(validator: Any, value: object, *, is_told: bool) -> str:
    try:
        if not is_told:
            return "" if validator.is_valid(value) else "the value is not valid by its schema"
        validator.validate(value)
    except import_module("jsonschema_rs").ValidationError as error:
        place = "".join(f"[{each!r}]" for each in error.instance_path)
        return f"{error.message[:MAX_FAULT_CHARS]}{f' at {place}' if place else ''}"
    except ValueError as cannot:  # deeper than the library goes
        return str(cannot)[:MAX_FAULT_CHARS]
    return ""


def _validator(param: str, schema: Schema, mask: str | None = None) -> Any:
    """`mask` stands in faults for a value that is not to be shown."""
    try:
        return _judges()(schema, mask=mask)
    except ValueError as error:
        told = str(error).partition("\n")[0][:MAX_FAULT_CHARS]
        remedy = "must be a JSON schema, without references to other documents"
        raise InvalidRequest(f"{param}: is no schema ({told}); {remedy}", param=param) from None


@cache
def _judges() -> Callable[..., Any]:
    """What makes a judge of a schema; 20 ms and 5 MiB, which wait until somebody wants it."""
    library = import_module("jsonschema_rs")
    patterns = library.FancyRegexOptions(backtrack_limit=MAX_STEPS, size_limit=MAX_PATTERN_BYTES)
    return partial(library.validator_for, retriever=_nowhere, pattern_options=patterns)


def _nowhere(_address: str) -> Any:
    raise ValueError("nothing is fetched")
