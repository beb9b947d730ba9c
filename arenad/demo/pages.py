"""The arena's page and its parts, read into memory once, at the start."""

import json
from pathlib import Path
from typing import NamedTuple

import msgspec

from arenad.demo.catalog import Entry
from arenad.demo.protocol import TURN_FORM
from arenad.demo.variants import DEFAULT, VARIANTS, Anchor, Variant

_FOLDER = Path(__file__).parent / "pages"
_BUILD_PLACE = "_build_"
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


class Asset(NamedTuple):
    """One file that the page refers to."""

    content_type: str
    body: bytes


def assets() -> dict[str, Asset]:
    """Every file beside the page, by its name."""
    return files_in(_FOLDER)


def files_in(folder: Path) -> dict[str, Asset]:
    """Every file of a folder that a page may refer to, by its name."""
    return {
        path.name: Asset(_TYPES[path.suffix], path.read_bytes())
        for path in sorted(folder.iterdir())
        if path.suffix in _TYPES
    }


def page(models: tuple[Entry, ...], variant: Variant = VARIANTS[DEFAULT]) -> str:
    """The one HTML page of the site in a variant, with the models in it."""
    html = (_FOLDER / "index.html").read_text(encoding="utf-8")
    told = {
        "name": variant.name,
        "stream": variant.stream,
        "chain": TURN_FORM not in variant.forms,
        "uploads": variant.uploads,
        "ways": variant.ways,
    }
    filled = {
        "<!-- payload -->": payload(models, variant.anchor),
        "<!-- variant -->": msgspec.json.encode(told).decode().replace("<", "\\u003c"),
        "_home_": variant.ways.direct.replace("&", "&amp;"),
        " _box_": f' name="{variant.box_name}"' if variant.box_name else "",
    }
    for place, value in filled.items():
        html = html.replace(place, value)
    return html


def of_build(html: str, build: str) -> str:
    """The page as a build of the site names its script with the upload actions."""
    return html.replace(_BUILD_PLACE, build)


def payload(models: tuple[Entry, ...], anchor: Anchor = "initialModels") -> str:
    """The model list as the page embeds it: JSON inside a JSON string, as arena sites have it.

    It stands in a script element that is never executed; `<` is escaped so that nothing in it can
    end that element.
    """
    state: object = {"initialModels": models, "initialModelAId": models[0].id}
    if anchor == "initialState":
        state = {"initialState": models, "modelAId": models[0].id}
    if not anchor:
        state = ["$", "models", None, *models]
    inner = msgspec.json.encode(state).decode()
    return json.dumps([1, inner], separators=(",", ":")).replace("<", "\\u003c")
