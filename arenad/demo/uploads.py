"""Files of messages and of answers: the page's upload in three steps, data URIs, pictures."""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec
from aiohttp import web

from arenad.demo import files
from arenad.demo.control import SCENE, Control, Scene
from arenad.demo.drawing import picture
from arenad.demo.faults import Faults
from arenad.demo.files import STORAGE_PATH, Files
from arenad.demo.models import Piece
from arenad.demo.protocol import Attached, Attachment, Refusal

INLINE_LIMIT_BYTES = 5 * 1024 * 1024
"""Of the files that come within a body, each."""

ACTION_HEADER = "Next-Action"
UPLOAD_LIFE_S = 300.0
_DATA_URI = re.compile(r"data:([\w.+/-]*)(?:;[\w.+=-]+)*;base64,([A-Za-z0-9+/=]*)\Z")
_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+\Z", re.ASCII)
_NAMES = ("generateUploadUrl", "getSignedUrl")


def action_id(build: str, name: str) -> str:
    """The id by which a page of this build calls one of its server's actions."""
    return hashlib.sha256(f"{build}/{name}".encode()).hexdigest()[:42]


class Uploads:
    """The routes, and what asks need of the storage."""

    def __init__(self, control: Control) -> None:
        """The storage begins empty."""
        self.files = Files()
        self._control = control

    def routes(self) -> list[web.RouteDef]:
        """The storage's own; the actions are POSTs to the pages (see `act`)."""
        return [
            web.get(f"{STORAGE_PATH}/{{key}}", self.give),
            web.put(f"{STORAGE_PATH}/{{key}}", self.take),
            web.get("/demo/build/{name}", self.chunk),
        ]

    async def chunk(self, request: web.Request) -> web.Response:
        """The page's script that knows the ids of its build's actions."""
        build = request.match_info["name"].removesuffix(".js")
        ids = {name: action_id(build, name) for name in _NAMES}
        text = f"export const actions = {json.dumps(ids)};\n"
        return web.Response(text=text, content_type="text/javascript")

    async def act(self, request: web.Request) -> web.Response:
        """A server action, called by a POST to any page. Raises `Refusal` (400, 404)."""
        wanted = request.headers.get(ACTION_HEADER)
        if wanted is None:
            raise Refusal(405, "method not allowed")
        scene = request[SCENE]
        if "stale-action" not in scene.faults:
            arguments = _arguments(await request.read())
            if wanted == action_id(self._control.build, _NAMES[0]):
                return self._upload_address(request, scene, arguments)
            if wanted == action_id(self._control.build, _NAMES[1]):
                return self._signed_address(request, scene, arguments)
        self._control.tally["stale_actions"] += 1
        headers = {"x-nextjs-action-not-found": "1"}
        raise Refusal(404, "Server action not found.", "the site was built anew; reload", headers)

    def _upload_address(
        self, request: web.Request, scene: Scene, arguments: tuple[str, ...]
    ) -> web.Response:
        name, content_type = arguments if len(arguments) == len(_NAMES) else ("", "")
        if not name or not _TYPE.match(content_type):
            raise Refusal(400, "bad body", "an upload needs a name, and a type such as image/png")
        key = self.files.begin(name, content_type)
        self._control.tally["uploads"] += 1
        path = self.files.signed("PUT", key, scene.faults.get("url-life", UPLOAD_LIFE_S))
        return _flight({"uploadUrl": _base(request) + path, "key": key})

    def _signed_address(
        self, request: web.Request, scene: Scene, arguments: tuple[str, ...]
    ) -> web.Response:
        (key,) = arguments if len(arguments) == 1 else ("",)
        self.files.get(key)
        life_s = scene.faults.get("url-life", files.LIFE_S)
        return _flight({"url": _base(request) + self.files.signed("GET", key, life_s)})

    async def take(self, request: web.Request) -> web.Response:
        """A file's bytes, by a signed address. Raises `Refusal` (403, 404, 413)."""
        if "upload-refused" in request[SCENE].faults:
            raise Refusal(403, "AccessDenied", "the storage takes nothing")
        key = request.match_info["key"]
        self.files.check("PUT", key, request.query)
        self.files.fill(key, await request.read())
        return web.Response(status=200)

    async def give(self, request: web.Request) -> web.Response:
        """A file, by a signed address. Raises `Refusal` (403, 404)."""
        key = request.match_info["key"]
        self.files.check("GET", key, request.query)
        stored = self.files.get(key)
        if stored.content is None:
            raise Refusal(404, "no such file", f"{key}: was never uploaded")
        # What a visitor uploaded must never run as a page of this site.
        headers = {"Content-Security-Policy": "sandbox; default-src 'none'"}
        return web.Response(
            body=stored.content, headers=headers | {"Content-Type": stored.content_type}
        )

    def attached(self, attachment: Attachment) -> Attached:
        """What models are told of an attachment. Raises `Refusal` (400, 403, 404, 413)."""
        if attachment.url.startswith("data:"):
            return _inline(attachment)
        address = urlsplit(attachment.url)
        path = unquote(address.path)
        if not path.startswith(f"{STORAGE_PATH}/"):
            raise Refusal(400, "bad attachment", f"{attachment.name}: is not of this storage")
        key = path.removeprefix(f"{STORAGE_PATH}/")
        self.files.check("GET", key, dict(parse_qsl(address.query)))
        return self.files.get(key).told()

    async def pictured(
        self, pieces: AsyncGenerator[Piece, None], base: str, faults: Faults
    ) -> AsyncGenerator[Piece, None]:
        """The same pieces, with the lines of drawn pictures in the place of their words."""
        life_s = faults.get("url-life", files.LIFE_S)
        count = 2 if "two-images" in faults else 1
        async with aclosing(pieces):
            async for piece in pieces:
                if piece.kind != "image":
                    yield piece
                    continue
                urls = [base + self._drawn(piece.text, place, life_s) for place in range(count)]
                items = [{"type": "image", "image": url, "mimeType": "image/png"} for url in urls]
                yield Piece("2", 0, "line", items)

    def _drawn(self, words: str, place: int, life_s: float) -> str:
        drawn = picture(f"{words}\n{place}" if place else words)
        return self.files.signed("GET", self.files.keep("picture.png", "image/png", drawn), life_s)


def _inline(attachment: Attachment) -> Attached:
    found = _DATA_URI.match(attachment.url)
    if found is None:
        raise Refusal(400, "bad attachment", f"{attachment.name}: is no data URI in base64")
    try:
        content = base64.b64decode(found[2], validate=True)
    except binascii.Error as error:
        raise Refusal(400, "bad attachment", f"{attachment.name}: {error}") from None
    if len(content) > INLINE_LIMIT_BYTES:
        raise Refusal(413, "payload too large", f"{attachment.name}: upload it instead")
    sha256 = hashlib.sha256(content).hexdigest()
    return Attached(attachment.name, attachment.content_type, len(content), sha256)


def _arguments(body: bytes) -> tuple[str, ...]:
    try:
        return msgspec.json.decode(body, type=tuple[str, ...])
    except msgspec.MsgspecError as error:
        raise Refusal(400, "bad body", str(error)) from None


def _flight(value: dict[str, str]) -> web.Response:
    """The answer of a server action: numbered lines, of which the second has the value."""
    lines = ['0:{"a":"$@1","f":"","b":"demo"}', "1:" + json.dumps({"success": True, "data": value})]
    return web.Response(text="\n".join(lines) + "\n", content_type="text/x-component")


def _base(request: web.Request) -> str:
    return f"{request.scheme}://{request.host}"
