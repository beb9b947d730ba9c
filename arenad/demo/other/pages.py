"""The other chat pages as HTML: one form, and a script for each transport."""

from html import escape
from pathlib import Path
from typing import NamedTuple

from arenad.demo.catalog import Entry
from arenad.demo.pages import Asset, files_in

_FOLDER = Path(__file__).parent.parent / "pages" / "other"

USUAL_POLICY = (
    "default-src 'self'; script-src 'self'; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'self'"
)
STRICT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)


class Transport(NamedTuple):
    """One page: its name in the address, its title, and how strict its browser has to be."""

    name: str
    title: str
    policy: str = USUAL_POLICY


TRANSPORTS: tuple[Transport, ...] = (
    Transport("eventsource", "EventSource"),
    Transport("sse", "fetch with server-sent events"),
    Transport("jsonl", "fetch with JSON lines"),
    Transport("websocket", "WebSocket with JSON frames"),
    Transport("dom", "HTML in the page alone", STRICT_POLICY),
    Transport("shadow", "shadow roots"),
)
"""Every page, in the order of the links on each of them."""


def assets() -> dict[str, Asset]:
    """Every file that these pages refer to, by its name."""
    return files_in(_FOLDER)


def page(transport: Transport, models: tuple[Entry, ...]) -> str:
    """The page of a transport. Where it lives in shadow roots, the form is only a template."""
    form = _read("form.html")
    filled = {
        "models": "".join(f"<option>{escape(entry.public_name)}</option>" for entry in models),
        "address": f"/other/{transport.name}",
        "title": escape(transport.title),
        "links": "".join(_link(each, transport) for each in TRANSPORTS),
    }
    for name, value in filled.items():
        form = form.replace(f"<!-- {name} -->", value)
    if transport.name == "shadow":
        form = f'<template id="form">{form}</template><chat-app></chat-app>'
    shell = _read("shell.html").replace("<!-- form -->", form)
    return shell.replace("<!-- title -->", filled["title"]).replace("_script_", transport.name)


def _link(to: Transport, shown: Transport) -> str:
    current = ' aria-current="page"' if to is shown else ""
    return f'<li><a href="/other/{to.name}"{current}>{escape(to.name)}</a></li>'


def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")
