"""Read a site's model list out of its HTML (site-protocol part 2.8): JSON, possibly escaped in JSON."""

import html
import json
from typing import Any, cast

from arenad.errors import ProfileOutdated
from arenad.schema.process import Model

MAX_ESCAPES = 4


def models_in(page_html: str, anchor: str) -> tuple[Model, ...]:
    """The models behind the key `anchor`. Raises `ProfileOutdated` when it is not there or empty."""
    text = page_html
    for _ in range(MAX_ESCAPES):
        if (found := _list_behind(text, f'"{anchor}":')) is not None:
            models = tuple(model for entry in found if (model := _model(entry)) is not None)
            if models:
                return tuple(dict.fromkeys(models))
        text = _unescape(text)
    raise ProfileOutdated(f"the page has no model list behind {anchor!r}")


def _unescape(text: str) -> str:
    """Take one level of JSON string escapes off, and HTML's own."""
    return html.unescape(
        text.replace("\\\\", "\0").replace('\\"', '"').replace("\\u003c", "<").replace("\0", "\\")
    )


def _list_behind(text: str, key: str) -> list[Any] | None:
    start = text.find(key)
    if start < 0:
        return None
    rest = text[start + len(key) :].lstrip()
    try:
        value, _ = json.JSONDecoder().raw_decode(rest)
    except json.JSONDecodeError:
        return None
    return cast("list[Any]", value) if isinstance(value, list) else None


def _model(entry: object) -> Model | None:
    match entry:
        case {"publicName": str(name), **rest} if name:
            owner = rest.get("organization")
            return Model(id=name, owner=owner if isinstance(owner, str) else "")
        case _:
            return None
