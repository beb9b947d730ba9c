"""What is on for all: the variant, the faults, the build; and what each request gets of it."""

import secrets
from collections import Counter
from collections.abc import Mapping
from time import monotonic
from typing import Annotated, NamedTuple, TypeVar
from urllib.parse import quote, unquote

import msgspec
from aiohttp import web
from msgspec import Meta

from arenad.demo import faults, variants
from arenad.demo.accounts import VISITOR
from arenad.demo.faults import FAULTS, Faults
from arenad.demo.protocol import Refusal
from arenad.demo.variants import VARIANTS, Variant

VARIANT_HEADER = "X-Demo-Variant"
VARIANT_COOKIE = "demo_variant"
VARIANT_QUERY = "demo-variant"


class Scene(NamedTuple):
    """How one request is to be answered: in which variant, with which faults, for whom, when.

    `visitor` is the cookie's id, "" without one; `now_s` is of a steady clock.
    """

    variant: Variant
    faults: Faults
    visitor: str
    now_s: float


SCENE = web.RequestKey("scene", Scene)
LIMIT_HEADERS = web.RequestKey("limit_headers", dict[str, str])
"""What the edge says of the limit, for any response to this request."""


class _FaultsWish(msgspec.Struct, forbid_unknown_fields=True):
    faults: dict[str, float | bool | None] | str
    times: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None


class _VariantWish(msgspec.Struct, forbid_unknown_fields=True):
    variant: str


_Wish = TypeVar("_Wish")


class Control:
    """The state that the control endpoint changes. It is for tests, and answers on loopback."""

    def __init__(self) -> None:
        self.variant = VARIANTS[variants.DEFAULT]
        self.faults: dict[str, float] = {}
        self.times: int | None = None
        self.build = secrets.token_hex(4)
        self.tally: Counter[str] = Counter()

    def routes(self) -> list[web.RouteDef]:
        """Everything that is asked and changed by JSON."""
        return [
            web.get("/demo/faults", self.show_faults),
            web.put("/demo/faults", self.set_faults),
            web.delete("/demo/faults", self.clear_faults),
            web.get("/demo/variant", self.show_variant),
            web.put("/demo/variant", self.set_variant),
            web.post("/demo/build", self.build_anew),
            web.get("/demo/tally", self.show_tally),
        ]

    async def show_faults(self, _request: web.Request) -> web.Response:
        """Which faults are on, for how many messages more, and the whole table."""
        return self._faults_told()

    async def set_faults(self, request: web.Request) -> web.Response:
        """Put these faults in the place of those that were on, perhaps for some messages only."""
        wish = _decode(await request.read(), _FaultsWish)
        named = wish.faults
        self.faults = faults.read(named) if isinstance(named, str) else faults.check(named)
        self.times = wish.times
        return self._faults_told()

    async def clear_faults(self, _request: web.Request) -> web.Response:
        """Nothing goes wrong any more."""
        self.faults, self.times = {}, None
        return self._faults_told()

    async def show_variant(self, _request: web.Request) -> web.Response:
        """The variant that is spoken to all, and the others."""
        told = {each.name: each.summary for each in VARIANTS.values()}
        return _json({"variant": self.variant.name, "variants": told})

    async def set_variant(self, request: web.Request) -> web.Response:
        """Speak another variant to all who name none."""
        self.variant = variants.named(_decode(await request.read(), _VariantWish).variant)
        return await self.show_variant(request)

    async def build_anew(self, _request: web.Request) -> web.Response:
        """A new build of the site: upload actions have new ids from now on."""
        self.build = secrets.token_hex(4)
        return _json({"build": self.build})

    async def show_tally(self, _request: web.Request) -> web.Response:
        """How often things happened that no answer tells of: votes, logins, checks, refusals."""
        return _json(dict(self.tally))

    def scene(self, request: web.Request) -> Scene:
        """What this request gets. Raises `Refusal` (400) for what it names and is not there."""
        # What a page's address asks for counts at once; its cookie brings it back later.
        cookies = {**request.cookies, **chosen(request.query)}
        name = request.headers.get(VARIANT_HEADER) or cookies.get(VARIANT_COOKIE, "")
        variant = variants.named(name) if name else self.variant
        own = faults.read(unquote(cookies.get(faults.COOKIE, "")))
        own |= faults.read(request.headers.get(faults.HEADER, ""))
        return Scene(variant, self.faults | own, cookies.get(VISITOR, ""), monotonic())

    def note_message(self) -> None:
        """A message came in: faults for a number of messages get fewer."""
        if self.times is None:
            return
        self.times -= 1
        if self.times == 0:
            self.faults, self.times = {}, None

    def _faults_told(self) -> web.Response:
        table = [each._asdict() for each in FAULTS.values()]
        return _json({"faults": self.faults, "times": self.times, "table": table})


def chosen(query: Mapping[str, str]) -> dict[str, str]:
    """Cookies that a page's address asks for: `?demo-variant=…&demo-fault=…`, empty ends them.

    Raises `Refusal` (400) for what is not there.
    """
    cookies: dict[str, str] = {}
    if (name := query.get(VARIANT_QUERY)) is not None:
        cookies[VARIANT_COOKIE] = variants.named(name).name if name else ""
    if (text := query.get(faults.QUERY)) is not None:
        faults.read(text)
        cookies[faults.COOKIE] = quote(text, safe="")
    return cookies


def _decode(body: bytes, kind: type[_Wish]) -> _Wish:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        raise Refusal(400, "bad body", str(error)) from None


def _json(value: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json")
