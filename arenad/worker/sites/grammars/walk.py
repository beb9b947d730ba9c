"""Follow a profile's path through a value that a page received."""

from collections.abc import Iterator
from typing import NamedTuple, cast

from arenad.schema.path import Condition, EventName, Every, Inside, Itself, Path
from arenad.worker.sites.grammars import json_text, protobuf


class Received(NamedTuple):
    """One value of a stream, and the name that the stream gives to it."""

    value: object
    event: str = ""


def found(received: Received, paths: tuple[Path, ...]) -> list[object]:
    """All that stands at any of these paths, in order; null counts as nothing."""
    walked = (value for path in paths for value in _walk(received.value, path, received.event))
    return [value for value in walked if value is not None]


def texts(received: Received, paths: tuple[Path, ...]) -> list[str]:
    """The texts among them."""
    return [text for value in found(received, paths) if (text := _text(value)) is not None]


def first(received: Received, paths: tuple[Path, ...]) -> str:
    """What stands there first, as a word; empty when nothing does."""
    return next((word(value) for value in found(received, paths)), "")


def word(value: object) -> str:
    """A value as it is compared and shown: as JSON writes it, a text without its quotes."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return json_text.whole(value)
        case int() | float() | None:
            return "null" if value is None else str(value)
        case protobuf.Fields():
            return json_text.whole(value.text or "")
        case _:
            return json_text.encode(value)


def _text(value: object) -> str | None:
    if isinstance(value, protobuf.Fields):
        return value.text
    return value if isinstance(value, str) else None


def _walk(value: object, path: Path, event: str) -> Iterator[object]:
    if not path:
        yield value
        return
    step, *rest = path
    match step:
        case Condition():
            others = {word(other) for other in _walk(value, step.path, event)}
            nexts = [value] if bool(others & step.values) is step.is_equal else []
        case Itself():
            nexts = [value]
        case EventName():
            nexts = [event]
        case Inside():
            nexts = [json_text.decode(value)] if isinstance(value, str) else []
        case Every():
            nexts = _every(value)
        case _:
            nexts = _at(value, step)
    for each in nexts:
        yield from _walk(each, tuple(rest), event)


def _every(value: object) -> list[object]:
    match value:
        case list():
            return cast("list[object]", value)
        case dict():
            return list(cast("dict[str, object]", value).values())
        case _:
            return []


def _at(value: object, step: object) -> list[object]:
    if isinstance(value, dict):
        fields = cast("dict[str, object]", value)
        return [fields[key]] if (key := str(step)) in fields else []
    if isinstance(value, protobuf.Fields):
        return value.at(step) if isinstance(step, int) else []
    if isinstance(value, list) and isinstance(step, int):
        items = cast("list[object]", value)
        return [items[step]] if -len(items) <= step < len(items) else []
    return []
