"""The path language of profiles: where something stands in a JSON value.

::

    choices.0.delta.content               keys and places; -1 is the last one, * is every one
    data.text when type=token             only in values with that field; `and`, `|` and != too
    content.*[type=text].text             only in those items
    v when $event=delta                   $event is the name that a stream gives to the value
    $value when $event=token              $value is the value itself
    payload.$json.text                    $json reads on inside a text that is JSON itself
    data."a.b".text                       a key with a dot in it
"""

import re
from functools import lru_cache
from typing import NamedTuple

MAX_PATH_CHARS = 500

_STEP = re.compile(r'\.?(?:"([^"]+)"|(\[[^\[\]]+\])|([^\s."\[\]=!]+))')
_CONDITION = re.compile(r"(?P<path>[^=]+?)(?P<sign>!?=)(?P<values>.*)", re.DOTALL)

EVENT, JSON, VALUE = "$event", "$json", "$value"


class Every(NamedTuple):
    """Each item of a list, each value of an object."""


class Inside(NamedTuple):
    """Read on inside a text that is JSON."""


class Itself(NamedTuple):
    """The value, as it is."""


class EventName(NamedTuple):
    """The name that the stream gives to this value."""


class Condition(NamedTuple):
    """Go on only where one of these stands there; or where none of them does."""

    path: "tuple[Step, ...]"
    values: frozenset[str]
    is_equal: bool


Step = str | int | Every | Inside | Itself | EventName | Condition
Path = tuple[Step, ...]
Paths = str | tuple[str, ...]
"""As it is written in a profile: one path, or several that are all looked at, in order."""


@lru_cache(maxsize=256)
def parse(text: str) -> Path:
    """The steps of a written path. Raises `ValueError`."""
    if len(text) > MAX_PATH_CHARS:
        raise ValueError(f"{text[:30]!r}… is longer than {MAX_PATH_CHARS} characters")
    steps, _, conditions = text.strip().partition(" when ")
    wanted = [_condition(each) for each in conditions.split(" and ")] if conditions else []
    return (*wanted, *_steps(steps, text))


def parse_all(paths: Paths) -> tuple[Path, ...]:
    """Every path that is written there. Raises `ValueError`."""
    return tuple(parse(each) for each in ((paths,) if isinstance(paths, str) else paths))


def _steps(text: str, whole: str) -> Path:
    steps: list[Step] = []
    place, text = 0, text.strip()
    while place < len(text):
        found = _STEP.match(text, place)
        if found is None or found[0].startswith(".") is (place == 0 or found[2] is not None):
            place = -1
            break
        quoted, condition, plain = found.groups()
        steps.append(quoted or (_condition(condition[1:-1]) if condition else _step(plain)))
        place = found.end()
    if not steps or place < 0:
        raise ValueError(
            f"{whole!r} is no path; write keys and places with dots between them, "
            "as in choices.0.delta.content"
        )
    return tuple(steps)


def _step(plain: str) -> Step:
    named: dict[str, Step] = {"*": Every(), JSON: Inside(), EVENT: EventName(), VALUE: Itself()}
    if plain in named:
        return named[plain]
    return int(plain) if re.fullmatch(r"-?[0-9]{1,9}", plain, re.ASCII) else plain


def _condition(text: str) -> Condition:
    found = _CONDITION.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no condition; write a path, = or !=, and what stands there")
    values = frozenset(value.strip() for value in found["values"].split("|"))
    return Condition(_steps(found["path"], text), values, found["sign"] == "=")
