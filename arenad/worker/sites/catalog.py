"""Read a site's model list out of its HTML (site-protocol part 2.8): JSON, often inside JSON."""

import html
import json
import re
from typing import Any, cast

import msgspec

from arenad.errors import ProfileOutdated
from arenad.schema.process import Model

MAX_ESCAPES = 4
"""How often the list may have been put into a JSON string again."""

_REST_OF_STRING = re.compile(r'(?:[^"\\]|\\.)*', re.DOTALL)


class _Entry(msgspec.Struct, rename="camel"):
    """What is read of a model object; a field of another type counts as none."""

    public_name: str
    organization: Any = None


def models_in(page_html: str, anchor: str) -> tuple[Model, ...]:
    """The models behind the key `anchor`. Raises `ProfileOutdated` when there are none."""
    for text in (page_html, html.unescape(page_html)):
        if models := _models(text, anchor, MAX_ESCAPES):
            return tuple(models.values())
    raise ProfileOutdated(f"the page has no model list behind {anchor!r}")


def _models(text: str, anchor: str, escapes: int) -> dict[str, Model]:
    """By name: a name that stands there twice (two kinds of one model) is one for clients."""
    for key in re.finditer(rf'(\\*)"{re.escape(anchor)}\1"\s*:', text):
        if not key[1]:
            found = _list_at(text, key.end())
            models = {model.id: model for entry in found if (model := _model(entry)) is not None}
        elif escapes:
            models = _models(_unescaped(text, key.start()), anchor, escapes - 1)
        else:
            models = {}
        if models:
            return models
    return {}


def _unescaped(text: str, start: int) -> str:
    """The rest of the JSON string in which `start` lies, one level of escapes off."""
    rest = _REST_OF_STRING.match(text, start)
    try:
        return str(json.loads(f'"{rest[0]}"' if rest else '""', strict=False))
    except json.JSONDecodeError:
        return ""


def _list_at(text: str, start: int) -> list[Any]:
    try:
        value, _ = json.JSONDecoder().raw_decode(text[start:].lstrip())
    except (json.JSONDecodeError, RecursionError):
        return []
    return cast("list[Any]", value) if isinstance(value, list) else []


def _model(entry: object) -> Model | None:
    try:
        read = msgspec.convert(entry, _Entry)
    except msgspec.ValidationError:
        return None
    owner = read.organization
    if not read.public_name:
        return None
    return Model(id=read.public_name, owner=owner if isinstance(owner, str) else "")
