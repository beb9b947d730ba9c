"""The OpenAPI document of the endpoint, and a page to read it; neither tells any secret."""

from collections.abc import Callable, Mapping
from functools import cached_property
from hashlib import sha256

import msgspec
from aiohttp import ETag, web

from arenad import __version__
from arenad.frontend import guard, openapi, pages
from arenad.frontend.vocabulary import Vocabulary
from arenad.schema.keys import Scope

PARTS = frozenset(
    (
        "css/base.css",
        "css/reference.css",
        "css/tokens.css",
        "icon.svg",
        "js/reference.js",
        "js/shapes.js",
    )
)
"""The files of `web/` that the page is made of; the rest is the dashboard's."""


class Reference:
    """The document, made when it is first asked for, and the page."""

    def __init__(
        self, spoken: Mapping[str, Vocabulary], scope_of: Callable[[str], Scope | None]
    ) -> None:
        """As `openapi.document` takes them."""
        self._spoken = spoken
        self._scope_of = scope_of

    @cached_property
    def body(self) -> bytes:
        """The document as JSON."""
        told = openapi.document(self._spoken, self._scope_of, __version__)
        return msgspec.json.encode(told)

    @cached_property
    def _etag(self) -> str:
        return sha256(self.body).hexdigest()[:32]

    def routes(self) -> list[web.RouteDef]:
        """Where they are."""
        return [
            web.get("/openapi.json", self._document),
            web.get("/docs", _page),
            web.get("/docs/static/{path:.+}", _part),
        ]

    async def _document(self, request: web.Request) -> web.Response:
        """GET /openapi.json; who has it already is told so."""
        known = {each.value for each in request.if_none_match or ()}
        response = web.Response(status=304)
        if known.isdisjoint((self._etag, "*")):
            response = web.Response(body=self.body, content_type=guard.JSON)
        response.etag = ETag(self._etag)
        response.headers.update(pages.HEADERS)
        return response


async def _page(_request: web.Request) -> web.Response:
    return _shown("reference.html")


async def _part(request: web.Request) -> web.Response:
    name = request.match_info["path"]
    if name not in PARTS:
        raise guard.NotServed(f"path: there is no {name[:80]!r} here", param="path")
    return _shown(name)


def _shown(name: str) -> web.Response:
    response = pages.file(name)
    response.headers.update(pages.HEADERS)
    return response
