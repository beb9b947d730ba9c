"""A request body's fields: read, refused by name, and their faults in words. A brain: no I/O."""

import re
import reprlib
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import msgspec

from arenad.errors import InvalidRequest

Rule = Literal["honoured", "emulated", "ignored", "refused"]


class Kind(NamedTuple):
    """What a field may be that is not read, beside null: a type, and its remedy."""

    type: object
    remedy: str


TEXT = Kind(str, "must be text")
SWITCH = Kind(bool, "must be true or false")
WHOLE = Kind(int, "must be a whole number")
OBJECT = Kind(dict[str, Any], "must be an object")
LIST = Kind(list[Any], "must be a list")


def number(least: float, most: float) -> Kind:
    """Any from the one to the other."""
    bounds = msgspec.Meta(ge=least, le=most)
    return Kind(Annotated[float, bounds], f"must be a number from {least:g} to {most:g}")


class Field(msgspec.Struct, frozen=True):
    """What becomes of a field. `note` says more; of a refused one, what to do instead.

    A refused field may be absent, empty or `plain`: then it asks for what is done anyway; else it
    is an `error`. An ignored one is of its `kind`, if that is known.
    """

    rule: Rule
    note: str = ""
    plain: object = None
    kind: Kind | None = None
    error: type[InvalidRequest] = InvalidRequest


_MISSING = re.compile(r"missing required field `(?P<name>[^`]*)`")
_PATH = re.compile(r" - at `\$\.?(?P<path>.*)`$", re.DOTALL)
_STEP = re.compile(r"\.?(\w+)|\[(\d+)\]")

MAX_NESTING = 64
"""Lists and objects within each other; tools and schemas of real clients stay far below."""

MAX_VALUES = 1_000_000
"""Lists, objects and what is in them: 10,000 messages of 25 parts. So many are read in about 1 s,
whatever they are, and take up to 300 MiB; 32 MB may be 16 million, of 16 s and 1.3 GiB."""

_fields_of = msgspec.json.Decoder(dict[str, Any]).decode

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 80
_shown = _short.repr

_Body = TypeVar("_Body", bound=msgspec.Struct)


def read(
    body: bytes, kind: type[_Body], table: Mapping[str, Field], remedies: Mapping[str, str]
) -> tuple[_Body, tuple[str, ...]]:
    """A body as a struct, and the names of the fields given that the struct does not have.

    `remedies` say what each field must be, by its path, by the last two names of that or by the
    last alone; `name[]` is an entry of a list. Raises `InvalidRequest` naming the field, the value
    and the remedy.
    """
    _check_size(body)
    try:
        given = _fields_of(body)
        _check_nesting(given)
        _check(given, table)
        request = _typed(given, kind, remedies)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"the body is not a JSON object: {error}") from error
    except RecursionError as error:
        told = f"the body is nested deeper than {MAX_NESTING} lists and objects; flatten it"
        raise InvalidRequest(told) from error
    return request, tuple(sorted(given.keys() - set(kind.__struct_fields__)))


def table(rows: Mapping[str, Field]) -> str:
    """It as Markdown, for the documentation."""
    head = ["| field | | |", "|---|---|---|"]
    return "\n".join(
        [*head, *(f"| `{name}` | {row.rule} | {row.note} |" for name, row in rows.items())]
    )


def _check_size(body: bytes) -> None:
    """Before anything is made of it. What stands within texts is told apart where it matters."""
    if _signs(body) <= MAX_VALUES:
        return
    bare = body.replace(rb"\\", b"").replace(rb"\"", b"")
    texts = bare.count(b'"') // 2
    count = texts if texts > 2 * MAX_VALUES else _signs(b"".join(bare.split(b'"')[::2]))
    if count > MAX_VALUES:
        told = f"the body has {count} values; {MAX_VALUES} are taken; send fewer"
        raise InvalidRequest(told)


def _signs(body: bytes) -> int:
    """At least as many as there are lists, objects and things in them, but for one."""
    return sum(map(body.count, (b"[", b"{", b",")))


def _check_nesting(given: dict[str, Any]) -> None:
    """Level by level, so that text costs nothing."""
    level: list[dict[str, Any] | list[Any]] = [given]
    for _ in range(MAX_NESTING):
        level = [inner for each in level for inner in _within(each)]
        if not level:
            return
    told = f"the body is nested deeper than {MAX_NESTING} lists and objects; flatten it"
    raise InvalidRequest(told)


def _within(value: dict[str, Any] | list[Any]) -> list[dict[str, Any] | list[Any]]:
    """The lists and objects in one."""
    inner: Iterable[Any] = value.values() if isinstance(value, dict) else value
    return [each for each in inner if isinstance(each, dict | list)]


def _check(given: dict[str, Any], table: Mapping[str, Field]) -> None:
    """Raise for the first field that is refused, or ignored and none of its kind."""
    for name, value in given.items():
        if (field := table.get(name)) is None:
            continue
        if field.rule == "refused" and _asks(value) and value != field.plain:
            raise field.error(f"{name}: is {_shown(value)}; {field.note}", param=name)
        if field.rule == "ignored" and field.kind is not None and value is not None:
            _check_kind(name, value, field.kind)


def _check_kind(name: str, value: object, kind: Kind) -> None:
    try:
        msgspec.convert(value, kind.type)
    except msgspec.ValidationError as error:
        told = f"{name}: is {_shown(value)}; {kind.remedy}"
        raise InvalidRequest(told, param=name) from error


def _asks(value: object) -> bool:
    """Whether a value asks for anything: 0 may."""
    return value is not None and value is not False and value not in ("", [], {})


def _typed(given: dict[str, Any], kind: type[_Body], remedies: Mapping[str, str]) -> _Body:
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        raise _fault(given, str(error), remedies) from error


def _fault(given: dict[str, Any], told: str, remedies: Mapping[str, str]) -> InvalidRequest:
    """The error that msgspec tells by a path, as field, value and remedy."""
    at = _PATH.search(told)
    path = at["path"] if at else ""
    if missing := _MISSING.search(told):
        path = f"{path}.{missing['name']}".lstrip(".")
        shown = "missing"
    else:
        shown = _shown(_value_at(given, path))
    *_, within, name = ("", *re.sub(r"\[\d+\]", "[]", path).split("."))
    remedy = remedies.get(path) or remedies.get(f"{within}.{name}") or remedies[name]
    return InvalidRequest(f"{path}: is {shown}; {remedy}", param=path)


def _value_at(value: Any, path: str) -> object:
    for name, index in _STEP.findall(path):
        value = value[name or int(index)]
    return value
