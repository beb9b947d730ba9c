"""A YAML file as checked structs: everything that is wrong with it is said at once."""

import difflib
from pathlib import Path
from typing import Any, TypeGuard, cast, get_args, get_origin

import msgspec
import yaml
from msgspec import inspect

from arenad.errors import ConfigError
from arenad.schema.base import Record
from arenad.schema.paths import without_credentials

MAX_FILE_BYTES = 1024 * 1024
MAX_SHOWN_CHARS = 60


def read(path: Path) -> bytes:
    """A file's text. Raises `ConfigError` when it cannot be read or is no such file by its size."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from error
    if len(text) > MAX_FILE_BYTES:
        raise ConfigError([f"{path}: is over {MAX_FILE_BYTES} bytes; that is no configuration"])
    return text


# -- text to tree ---------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """Plain YAML: no key given twice (YAML lets the later one win in silence), no tags, no aliases.

    Tags turn values into what no field is, and aliases let a short file stand for an endless one.
    """

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = cast("yaml.NodeEvent", self.peek_event())  # pyright: ignore[reportUnknownMemberType] - yaml's stubs say nothing
        if event.anchor is not None or getattr(event, "tag", None) is not None:
            raise yaml.MarkedYAMLError(
                problem="& * and ! have no meaning here; put text that begins with them in quotes",
                problem_mark=event.start_mark,
            )
        return super().compose_node(parent, index)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> object:  # noqa: FBT001, FBT002 - yaml's own signature
        try:
            return cast("object", super().construct_object(node, deep=deep))  # pyright: ignore[reportUnknownMemberType] - yaml's stubs say nothing
        except ValueError as error:  # of int(), float() and date(): 0x_, 2026-13-45
            raise yaml.MarkedYAMLError(
                problem=f"{shown(node.value)} is no value ({error}); put text in quotes",
                problem_mark=node.start_mark,
            ) from error

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - yaml's own signature
        seen: set[str] = set()
        for key, _ in node.value:
            name = str(key.value)
            if name in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"{name} is given twice; keep one", problem_mark=key.start_mark
                )
            seen.add(name)
        return super().construct_mapping(node, deep=deep)


def tree_of(text: bytes) -> object:
    """A YAML text as maps, lists and plain values. Raises `ConfigError`."""
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader, made stricter
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        raise ConfigError([f"{where}{error.problem or error.context}"]) from error
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError([f"is not YAML: {' '.join(str(error).split())}"]) from error
    except RecursionError as error:
        raise ConfigError(["is nested far too deeply; this is no configuration"]) from error


# -- tree to values -------------------------------------------------------------------------------


def section(kind: type[Record], tree: object, path: str, faults: list[str]) -> Record | None:
    """Check one section field by field, so that one fault does not hide the next.

    A field that is at fault takes its default, so that the rest can still be compared.
    """
    if not isinstance(tree, dict):
        must = "must be a section, with lines of `name: value`"
        faults.append(f"{path or 'the file'}: is {shown(tree)}; {must}")
        return None
    given = cast("dict[object, object]", tree)
    below = f"{path}." if path else ""
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    faults += [_unknown(str(name), below, list(fields)) for name in given if name not in fields]
    values: dict[str, object] = {}
    lacks_required = False
    for name, field in fields.items():
        if name in given:
            value = _value(field.type, given[name], f"{below}{name}", faults)
        else:
            value = msgspec.UNSET
            if field.required:
                faults.append(f"{below}{name}: is missing; must be {_words(field.type)}")
        if value is not msgspec.UNSET:
            values[name] = value
        lacks_required |= field.required and value is msgspec.UNSET
    if lacks_required:
        return None
    try:
        return kind(**values)
    except ValueError as error:  # what its fields say against each other begins with a field's name
        faults.append(f"{below}{error}")
        return None


def _value(kind: Any, given: object, path: str, faults: list[str]) -> object:
    """The value as its field wants it; `UNSET`, and one more fault, if it cannot be that."""
    if _is_record(kind):
        part = section(kind, {} if given is None else given, path, faults)
        return msgspec.UNSET if part is None else part
    if get_origin(kind) is dict and isinstance(given, dict):
        return _named(get_args(kind)[1], cast("dict[object, object]", given), path, faults)
    if (item := next(filter(_is_record, get_args(kind)), None)) is not None:
        return _sections(kind, item, given, path, faults)
    try:
        return msgspec.convert(given, cast("type[object]", kind))
    except msgspec.ValidationError:
        faults.append(f"{path}: is {shown(given)}; must be {_words(kind)}")
        return msgspec.UNSET


def _named(
    kind: object, given: dict[object, object], path: str, faults: list[str]
) -> dict[str, object] | msgspec.UnsetType:
    """A map, each of its values checked by itself."""
    named = {
        str(name): _value(kind, each, f"{path}.{name}", faults) for name, each in given.items()
    }
    return msgspec.UNSET if msgspec.UNSET in named.values() else named


def _sections(
    kind: object, item: type[Record], given: object, path: str, faults: list[str]
) -> object:
    """A list of sections, or one that may be left out; any other shape is a fault."""
    origin = get_origin(kind)
    if origin is tuple and isinstance(given, list):
        numbered = enumerate(cast("list[object]", given))
        parts = [section(item, tree, f"{path}[{at}]", faults) for at, tree in numbered]
        return msgspec.UNSET if None in parts else tuple(parts)
    if origin in (tuple, dict):
        faults.append(f"{path}: is {shown(given)}; must be {_SECTIONS[origin]}")
        return msgspec.UNSET
    return None if given is None else _value(item, given, path, faults)


_SECTIONS = {tuple: "a list of sections", dict: "sections, each with its name"}


def _is_record(kind: object) -> TypeGuard[type[Record]]:
    return isinstance(kind, type) and issubclass(kind, Record)


def _unknown(name: str, below: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    meant = f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"
    return f"{below}{name}: no such field; {meant}"


def shown(value: object) -> str:
    """A value as the operator wrote it, more or less; never all of a big one."""
    if isinstance(value, dict | list):
        return "a section" if isinstance(value, dict) else "a list"
    if value is None or isinstance(value, bool):
        return {None: "empty", True: "true", False: "false"}[value]
    text = repr(value) if isinstance(value, str | int | float) else str(value)
    text = without_credentials(text)
    return text if len(text) <= MAX_SHOWN_CHARS else f"{text[:MAX_SHOWN_CHARS]}…"


def _words(kind: Any) -> str:
    """What a field takes, in an operator's words, from its type."""
    match inspect.type_info(kind):
        case inspect.Metadata(extra_json_schema={"description": str(description)}):
            return description
        case inspect.IntType() as number:
            return f"a whole number{_bounds(number)}"
        case inspect.FloatType() as number:
            return f"a number{_bounds(number)}"
        case inspect.LiteralType(values=values):
            return f"one of {', '.join(map(str, values))}"
        case info:
            return _PLAIN_WORDS.get(type(info), type(info).__name__)


_PLAIN_WORDS: dict[type[inspect.Type], str] = {
    inspect.BoolType: "true or false",
    inspect.StrType: "text; put numbers and words like yes and no in quotes",
    inspect.StructType: "a section",
    inspect.VarTupleType: "a list of texts; put numbers and words like yes and no in quotes",
    inspect.DictType: "a section, with lines of `name: value`",
}


def _bounds(number: inspect.IntType | inspect.FloatType) -> str:
    bounds = {"of at least": number.ge, "above": number.gt, "at most": number.le}
    said = [f"{word} {bound:.0f}" for word, bound in bounds.items() if bound is not None]
    return f" {' and '.join(said)}" if said else ""
