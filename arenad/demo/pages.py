"""The arena's page and its parts, read into memory once, at the start."""

import json
from pathlib import Path
from typing import NamedTuple

import msgspec

from arenad.demo.catalog import Entry

_FOLDER = Path(__file__).parent / "pages"
_PAYLOAD_PLACE = "<!-- payload -->"
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


def page(models: tuple[Entry, ...]) -> str:
    """The one HTML page of the site, with the models in it."""
    html = (_FOLDER / "index.html").read_text(encoding="utf-8")
    return html.replace(_PAYLOAD_PLACE, payload(models))


def payload(models: tuple[Entry, ...]) -> str:
    """The model list as the page embeds it: JSON inside a JSON string, as arena sites have it.

    It stands in a script element that is never executed; `<` is escaped so that nothing in it can
    end that element.
    """
    state = {"initialModels": models, "initialModelAId": models[0].id}
    inner = msgspec.json.encode(state).decode()
    return json.dumps([1, inner], separators=(",", ":")).replace("<", "\\u003c")
